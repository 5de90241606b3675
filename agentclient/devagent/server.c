/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The RPCs. gRPC C core does not know who is at the other end of a unix socket, so connections are accepted
 * elsewhere, with SO_PEERCRED, and handed to it by descriptor; a call then names its connection as its peer
 * ("fd:7"), and that is how it finds its caller.
 *
 * One thread takes events from the completion queue; the lock is for the streams and the issuer, which the
 * main thread (signals, time) touches too.
 */
#include "server.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MINT_ID_MAX 4096

struct call;
struct tag {
  void (*fn)(struct devagent_server *s, struct call *c, int ok);
  struct call *call;
};

enum kind { KIND_SVIDS, KIND_BUNDLES, KIND_MINT };

/* One RPC, from before it arrives to after its last event. */
struct call {
  struct call *prev, *next; /* the streams that are open; NULL while it is none */
  grpc_call *rpc;
  grpc_call_details details;
  grpc_metadata_array metadata, none;
  grpc_byte_buffer *request, *reply;
  struct tag on_new, on_close, on_request, on_sent, on_end;
  int pending;   /* events that are still to come */
  int cancelled; /* filled in by gRPC: the client is gone */
  enum kind kind;
  int open, sending, dirty, greeted, ended;
  struct devagent_caller caller;
  struct devagent_selectors who;
  unsigned char last[SHA256_DIGEST_LENGTH]; /* of the last message sent */
};

struct devagent_server {
  grpc_server *grpc;
  grpc_completion_queue *cq;
  grpc_server_credentials *creds;
  pthread_t thread;
  pthread_mutex_t lock;
  struct devagent_issuer *issuer;
  struct devagent_caller *callers; /* by descriptor */
  size_t callers_len;
  struct call streams; /* head of the ring */
  struct tag on_down;
  int wake;
};

static void on_new(struct devagent_server *s, struct call *c, int ok);

static void wait_for_call(struct devagent_server *s) {
  struct call *c = calloc(1, sizeof *c);
  if (!c)
    return;
  grpc_call_details_init(&c->details);
  grpc_metadata_array_init(&c->metadata);
  grpc_metadata_array_init(&c->none);
  c->on_new = (struct tag){on_new, c};
  c->pending = 1;
  if (grpc_server_request_call(s->grpc, &c->rpc, &c->details, &c->metadata, s->cq, s->cq, &c->on_new) != GRPC_CALL_OK)
    abort();
}

static void leave_streams(struct call *c) {
  if (!c->open)
    return;
  c->open = 0;
  c->prev->next = c->next;
  c->next->prev = c->prev;
}

/* The last event frees the call. */
static void done(struct call *c) {
  if (--c->pending > 0)
    return;
  leave_streams(c);
  grpc_call_details_destroy(&c->details);
  grpc_metadata_array_destroy(&c->metadata);
  grpc_metadata_array_destroy(&c->none);
  if (c->request)
    grpc_byte_buffer_destroy(c->request);
  if (c->reply)
    grpc_byte_buffer_destroy(c->reply);
  devagent_selectors_free(&c->who);
  if (c->rpc)
    grpc_call_unref(c->rpc);
  free(c);
}

static void start(struct call *c, const grpc_op *ops, size_t n, struct tag *tag) {
  c->pending++;
  if (grpc_call_start_batch(c->rpc, ops, n, tag, NULL) != GRPC_CALL_OK)
    abort(); /* a batch that the API refuses is a bug here, never the client's doing */
}

static void on_end(struct devagent_server *s, struct call *c, int ok) {
  (void)s;
  (void)ok;
  done(c);
}

static void end(struct call *c, grpc_status_code code, const char *text) {
  grpc_op ops[2];
  size_t n = 0;
  if (c->ended)
    return;
  c->ended = 1;
  leave_streams(c);
  memset(ops, 0, sizeof ops);
  if (!c->greeted)
    ops[n++].op = GRPC_OP_SEND_INITIAL_METADATA;
  c->greeted = 1;
  grpc_slice details = grpc_slice_from_copied_string(text);
  ops[n].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
  ops[n].data.send_status_from_server.status = code;
  ops[n++].data.send_status_from_server.status_details = &details;
  c->on_end = (struct tag){on_end, c};
  start(c, ops, n, &c->on_end);
  grpc_slice_unref(details);
}

static void wipe(void *p, size_t len) { OPENSSL_clear_free(p, len); }

static void push(struct devagent_server *s, struct call *c);

static void on_sent(struct devagent_server *s, struct call *c, int ok) {
  c->sending = 0;
  grpc_byte_buffer_destroy(c->reply);
  c->reply = NULL;
  if (c->kind == KIND_MINT)
    end(c, GRPC_STATUS_OK, "");
  else if (ok && c->dirty)
    push(s, c);
  done(c);
}

/* msg goes to gRPC, which wipes it when it is through with it. */
static void send_message(struct call *c, uint8_t *msg, size_t len) {
  grpc_op ops[2];
  size_t n = 0;
  memset(ops, 0, sizeof ops);
  if (!c->greeted)
    ops[n++].op = GRPC_OP_SEND_INITIAL_METADATA;
  c->greeted = 1;
  grpc_slice slice = grpc_slice_new_with_len(msg, len, wipe);
  c->reply = grpc_raw_byte_buffer_create(&slice, 1);
  grpc_slice_unref(slice);
  ops[n].op = GRPC_OP_SEND_MESSAGE;
  ops[n++].data.send_message.send_message = c->reply;
  c->sending = 1;
  c->on_sent = (struct tag){on_sent, c};
  start(c, ops, n, &c->on_sent);
}

/* Sends a stream its present state, unless that is what it had last. */
static void push(struct devagent_server *s, struct call *c) {
  unsigned char hash[SHA256_DIGEST_LENGTH];
  uint8_t *msg = NULL;
  size_t len = 0;
  if (c->sending) { /* one message at a time: a slow reader gets the newest, not all */
    c->dirty = 1;
    return;
  }
  c->dirty = 0;
  int rc = c->kind == KIND_SVIDS ? devagent_issuer_svids(s->issuer, &c->who, &msg, &len)
                                 : devagent_issuer_bundles(s->issuer, &c->who, &msg, &len);
  if (rc == 0) {
    end(c, GRPC_STATUS_PERMISSION_DENIED, "no identity issued");
    return;
  }
  if (rc < 0) {
    end(c, GRPC_STATUS_INTERNAL, "cannot issue");
    return;
  }
  SHA256(msg, len, hash);
  if (memcmp(hash, c->last, sizeof hash) == 0) {
    OPENSSL_clear_free(msg, len);
    return;
  }
  memcpy(c->last, hash, sizeof hash);
  send_message(c, msg, len);
}

static void mint(struct devagent_server *s, struct call *c) {
  char id[MINT_ID_MAX + 1], why[512];
  uint8_t *msg;
  size_t len, have = 0;
  grpc_byte_buffer_reader reader;
  grpc_slice slice;
  if (c->caller.uid != 0 && c->caller.uid != geteuid()) {
    end(c, GRPC_STATUS_PERMISSION_DENIED, "minting is for the agent's own user");
    return;
  }
  if (!c->request || !grpc_byte_buffer_reader_init(&reader, c->request)) {
    end(c, GRPC_STATUS_INVALID_ARGUMENT, "no SPIFFE ID in the request");
    return;
  }
  while (grpc_byte_buffer_reader_next(&reader, &slice)) {
    size_t n = GRPC_SLICE_LENGTH(slice);
    if (n > MINT_ID_MAX - have)
      n = MINT_ID_MAX - have;
    memcpy(id + have, GRPC_SLICE_START_PTR(slice), n);
    have += n;
    grpc_slice_unref(slice);
  }
  grpc_byte_buffer_reader_destroy(&reader);
  id[have] = 0;
  int rc = devagent_issuer_mint(s->issuer, id, &msg, &len, why, sizeof why);
  if (rc == 1)
    send_message(c, msg, len);
  else
    end(c, rc == 0 ? GRPC_STATUS_INVALID_ARGUMENT : GRPC_STATUS_INTERNAL, why);
}

/* The request is here (what it says matters to Mint alone): look who asks, and answer. */
static void on_request(struct devagent_server *s, struct call *c, int ok) {
  if (!ok || c->ended) {
    end(c, GRPC_STATUS_CANCELLED, "");
  } else if (devagent_attest(&c->caller, &c->who) != 0) {
    end(c, GRPC_STATUS_UNAUTHENTICATED, "the process that opened this connection is no more");
  } else if (c->kind == KIND_MINT) {
    mint(s, c);
  } else {
    c->open = 1;
    c->next = &s->streams;
    c->prev = s->streams.prev;
    c->prev->next = c->next->prev = c;
    push(s, c);
    eventfd_write(s->wake, 1); /* an SVID may have been made just now, and will want to be renewed */
  }
  done(c);
}

static void on_close(struct devagent_server *s, struct call *c, int ok) {
  (void)s;
  (void)ok;
  leave_streams(c);
  c->ended = c->ended || c->cancelled;
  done(c);
}

static int has_header(const struct call *c) {
  for (size_t i = 0; i < c->metadata.count; i++) {
    const grpc_metadata *m = &c->metadata.metadata[i];
    if (grpc_slice_str_cmp(m->key, "workload.spiffe.io") == 0 && grpc_slice_str_cmp(m->value, "true") == 0)
      return 1;
  }
  return 0;
}

static int find_caller(struct devagent_server *s, struct call *c) {
  char *peer = grpc_call_get_peer(c->rpc);
  int fd = -1, found = 0;
  if (peer && sscanf(peer, "fd:%d", &fd) == 1 && fd >= 0 && (size_t)fd < s->callers_len && s->callers[fd].pid > 0) {
    c->caller = s->callers[fd];
    found = 1;
  }
  gpr_free(peer);
  return found;
}

static void on_new(struct devagent_server *s, struct call *c, int ok) {
  grpc_op op;
  memset(&op, 0, sizeof op);
  if (!ok) { /* shutting down */
    done(c);
    return;
  }
  wait_for_call(s);
  c->on_close = (struct tag){on_close, c};
  op.op = GRPC_OP_RECV_CLOSE_ON_SERVER;
  op.data.recv_close_on_server.cancelled = &c->cancelled;
  start(c, &op, 1, &c->on_close);

  int known = 1;
  if (grpc_slice_str_cmp(c->details.method, "/SpiffeWorkloadAPI/FetchX509SVID") == 0)
    c->kind = KIND_SVIDS;
  else if (grpc_slice_str_cmp(c->details.method, "/SpiffeWorkloadAPI/FetchX509Bundles") == 0)
    c->kind = KIND_BUNDLES;
  else if (grpc_slice_str_cmp(c->details.method, DEVAGENT_MINT_METHOD) == 0)
    c->kind = KIND_MINT;
  else
    known = 0;
  if (!has_header(c)) {
    end(c, GRPC_STATUS_INVALID_ARGUMENT, "security header missing from request");
  } else if (!known) {
    end(c, GRPC_STATUS_UNIMPLEMENTED, "the dev agent serves X.509-SVIDs and their bundles only");
  } else if (!find_caller(s, c)) {
    end(c, GRPC_STATUS_INTERNAL, "the caller of this connection is unknown");
  } else {
    c->on_request = (struct tag){on_request, c};
    op.op = GRPC_OP_RECV_MESSAGE;
    op.data.recv_message.recv_message = &c->request;
    start(c, &op, 1, &c->on_request);
  }
  done(c);
}

static void *serve(void *arg) {
  struct devagent_server *s = arg;
  for (;;) {
    grpc_event e = grpc_completion_queue_next(s->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    if (e.type == GRPC_QUEUE_SHUTDOWN)
      return NULL;
    struct tag *t = e.tag;
    pthread_mutex_lock(&s->lock);
    if (t->fn)
      t->fn(s, t->call, e.success);
    pthread_mutex_unlock(&s->lock);
    if (t == &s->on_down)
      grpc_completion_queue_shutdown(s->cq);
  }
}

struct devagent_server *devagent_server_start(struct devagent_issuer *issuer, int wake) {
  struct devagent_server *s = calloc(1, sizeof *s);
  if (!s)
    return NULL;
  grpc_arg args[] = {
      {GRPC_ARG_INTEGER, (char *)(uintptr_t)GRPC_ARG_HTTP2_BDP_PROBE, .value.integer = 0},
      {GRPC_ARG_INTEGER, (char *)(uintptr_t)GRPC_ARG_ENABLE_CHANNELZ, .value.integer = 0},
      {GRPC_ARG_INTEGER, (char *)(uintptr_t)GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, .value.integer = 65536},
  };
  grpc_channel_args all = {.num_args = sizeof args / sizeof *args, .args = args};
  pthread_mutex_init(&s->lock, NULL);
  s->issuer = issuer;
  s->wake = wake;
  s->streams.prev = s->streams.next = &s->streams;
  s->cq = grpc_completion_queue_create_for_next(NULL);
  s->creds = grpc_insecure_server_credentials_create();
  s->grpc = grpc_server_create(&all, NULL);
  grpc_server_register_completion_queue(s->grpc, s->cq, NULL);
  grpc_server_start(s->grpc);
  for (int i = 0; i < 8; i++)
    wait_for_call(s);
  if (pthread_create(&s->thread, NULL, serve, s) != 0)
    abort();
  return s;
}

void devagent_server_add(struct devagent_server *s, int fd, const struct devagent_caller *caller) {
  pthread_mutex_lock(&s->lock);
  if ((size_t)fd >= s->callers_len) {
    size_t len = (size_t)fd + 64;
    struct devagent_caller *grown = realloc(s->callers, len * sizeof *grown);
    if (!grown) {
      pthread_mutex_unlock(&s->lock);
      close(fd);
      return;
    }
    memset(grown + s->callers_len, 0, (len - s->callers_len) * sizeof *grown);
    s->callers = grown;
    s->callers_len = len;
  }
  s->callers[fd] = *caller;
  pthread_mutex_unlock(&s->lock);
  grpc_server_add_channel_from_fd(s->grpc, fd, s->creds);
}

void devagent_server_lock(struct devagent_server *s) { pthread_mutex_lock(&s->lock); }
void devagent_server_unlock(struct devagent_server *s) { pthread_mutex_unlock(&s->lock); }

void devagent_server_push(struct devagent_server *s) {
  for (struct call *c = s->streams.next, *next; c != &s->streams; c = next) {
    next = c->next; /* push() may end it */
    push(s, c);
  }
}

void devagent_server_stop(struct devagent_server *s) {
  grpc_server_shutdown_and_notify(s->grpc, s->cq, &s->on_down);
  grpc_server_cancel_all_calls(s->grpc);
  pthread_join(s->thread, NULL);
  grpc_server_destroy(s->grpc);
  grpc_completion_queue_destroy(s->cq);
  grpc_server_credentials_release(s->creds);
  pthread_mutex_destroy(&s->lock);
  free(s->callers);
  free(s);
}
