/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Minting: one private RPC to the running agent (its CA is in its memory only), three files. The key is
 * readable for its owner only, and is wiped from memory when it is in its file.
 */
#include "mint.h"

#include "../workload/grpccore.h"
#include "../workload/reply.h"
#include "roots.h"
#include "server.h"
#include "workload.pb-c.h"

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#define ANSWER_S 10

static int write_in(const char *dir, const char *name, const void *data, size_t len, unsigned mode, char *why,
                    size_t why_len) {
  char *path;
  if (asprintf(&path, "%s/%s", dir, name) < 0)
    return -1;
  int rc = devagent_file_replace(path, data, len, mode);
  if (rc != 0)
    snprintf(why, why_len, "%s: %s", path, strerror(errno));
  free(path);
  return rc;
}

static int write_certs(const char *dir, const char *name, ProtobufCBinaryData der, char *why, size_t why_len) {
  size_t len = 0;
  char *pem = devagent_roots_pem(der.data, der.len, &len);
  int rc = -1;
  if (pem)
    rc = write_in(dir, name, pem, len, 0644, why, why_len);
  else
    snprintf(why, why_len, "%s: no certificates in the agent's answer", name);
  free(pem);
  return rc;
}

static int write_key(const char *dir, ProtobufCBinaryData der, char *why, size_t why_len) {
  const unsigned char *p = der.data;
  EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &p, (long)der.len);
  BIO *out = BIO_new(BIO_s_secmem());
  char *pem = NULL;
  int rc = -1;
  if (key && out && PEM_write_bio_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1) {
    long n = BIO_get_mem_data(out, &pem);
    rc = write_in(dir, "key.pem", pem, (size_t)n, 0600, why, why_len);
  } else {
    snprintf(why, why_len, "key.pem: no private key in the agent's answer");
  }
  BIO_free(out);
  EVP_PKEY_free(key);
  ERR_clear_error();
  return rc;
}

int devagent_mint_write(const uint8_t *msg, size_t len, const char *dir, char *why, size_t why_len) {
  X509SVIDResponse *r = x509_svidresponse__unpack(&reply_wiping_allocator, len, msg);
  int rc = -1;
  if (!r || r->n_svids < 1) {
    snprintf(why, why_len, "no SVID in the agent's answer");
  } else if (mkdir(dir, 0755) != 0 && errno != EEXIST) {
    snprintf(why, why_len, "%s: %s", dir, strerror(errno));
  } else {
    const X509SVID *s = r->svids[0];
    rc = write_key(dir, s->x509_svid_key, why, why_len) || write_certs(dir, "svid.pem", s->x509_svid, why, why_len) ||
                 write_certs(dir, "bundle.pem", s->bundle, why, why_len)
             ? -1
             : 0;
  }
  if (r)
    x509_svidresponse__free_unpacked(r, &reply_wiping_allocator);
  return rc;
}

/* One unary call. */
static grpc_status_code ask(grpc_channel *channel, const char *spiffe_id, grpc_byte_buffer **answer, char *why,
                            size_t why_len) {
  grpc_completion_queue *cq = grpc_completion_queue_create_for_pluck(NULL);
  gpr_timespec deadline = gpr_time_add(gpr_now(GPR_CLOCK_REALTIME), gpr_time_from_seconds(ANSWER_S, GPR_TIMESPAN));
  grpc_call *call =
      grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, cq,
                               grpc_slice_from_static_string(DEVAGENT_MINT_METHOD), NULL, deadline, NULL);
  grpc_metadata header = {.key = grpc_slice_from_static_string("workload.spiffe.io"),
                          .value = grpc_slice_from_static_string("true")};
  grpc_slice id = grpc_slice_from_copied_string(spiffe_id);
  grpc_byte_buffer *request = grpc_raw_byte_buffer_create(&id, 1);
  grpc_metadata_array initial, trailing;
  grpc_metadata_array_init(&initial);
  grpc_metadata_array_init(&trailing);
  grpc_status_code code = GRPC_STATUS_UNKNOWN;
  grpc_slice details = grpc_empty_slice();
  grpc_op ops[6];
  memset(ops, 0, sizeof ops);
  ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
  ops[0].data.send_initial_metadata.count = 1;
  ops[0].data.send_initial_metadata.metadata = &header;
  ops[1].op = GRPC_OP_SEND_MESSAGE;
  ops[1].data.send_message.send_message = request;
  ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
  ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
  ops[3].data.recv_initial_metadata.recv_initial_metadata = &initial;
  ops[4].op = GRPC_OP_RECV_MESSAGE;
  ops[4].data.recv_message.recv_message = answer;
  ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
  ops[5].data.recv_status_on_client.trailing_metadata = &trailing;
  ops[5].data.recv_status_on_client.status = &code;
  ops[5].data.recv_status_on_client.status_details = &details;
  if (grpc_call_start_batch(call, ops, 6, ops, NULL) == GRPC_CALL_OK)
    grpc_completion_queue_pluck(cq, ops, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
  if (code != GRPC_STATUS_OK)
    snprintf(why, why_len, "the agent says: %.*s (code %d)", (int)GRPC_SLICE_LENGTH(details),
             (const char *)GRPC_SLICE_START_PTR(details), (int)code);
  grpc_slice_unref(details);
  grpc_slice_unref(id);
  grpc_byte_buffer_destroy(request);
  grpc_metadata_array_destroy(&initial);
  grpc_metadata_array_destroy(&trailing);
  grpc_call_unref(call);
  grpc_completion_queue_shutdown(cq);
  while (grpc_completion_queue_pluck(cq, NULL, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type != GRPC_QUEUE_SHUTDOWN)
    ;
  grpc_completion_queue_destroy(cq);
  return code;
}

static int write_answer(grpc_byte_buffer *answer, const char *dir, char *why, size_t why_len) {
  size_t len = 0;
  uint8_t *msg = answer ? grpccore_take(answer, &len) : NULL;
  if (!msg) {
    snprintf(why, why_len, "the agent's answer is empty");
    return -1;
  }
  int rc = devagent_mint_write(msg, len, dir, why, why_len);
  OPENSSL_clear_free(msg, len);
  return rc;
}

int devagent_mint_remote(const char *socket_path, const char *spiffe_id, const char *dir, char *why, size_t why_len) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (strlen(socket_path) >= sizeof to.sun_path || fd < 0) {
    snprintf(why, why_len, "%s: %s", socket_path, fd < 0 ? strerror(errno) : "too long for a socket's name");
    if (fd >= 0)
      close(fd);
    return EX_USAGE;
  }
  strcpy(to.sun_path, socket_path);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
    snprintf(why, why_len, "%s: %s; is the dev agent running?", socket_path, strerror(errno));
    close(fd);
    return EX_UNAVAILABLE;
  }
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  grpccore_start(NULL);
  grpc_channel_credentials *creds = grpc_insecure_credentials_create();
  grpc_channel *channel = grpc_channel_create_from_fd("agent", fd, creds, NULL);
  grpc_channel_credentials_release(creds);
  grpc_byte_buffer *answer = NULL;
  grpc_status_code code = ask(channel, spiffe_id, &answer, why, why_len);
  int rc = code == GRPC_STATUS_OK ? (write_answer(answer, dir, why, why_len) == 0 ? EX_OK : EX_CANTCREAT)
           : code == GRPC_STATUS_INVALID_ARGUMENT  ? EX_USAGE
           : code == GRPC_STATUS_PERMISSION_DENIED ? EX_NOPERM
                                                   : EX_UNAVAILABLE;
  if (answer && code != GRPC_STATUS_OK)
    grpc_byte_buffer_destroy(answer);
  grpc_channel_destroy(channel);
  grpccore_stop();
  return rc;
}
