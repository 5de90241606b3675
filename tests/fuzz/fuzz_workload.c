/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_workload.c - any bytes as the agent's replies, and any text as its address. Beyond "no crash": what is
 * taken is complete (an SVID with a key and its own bundle, an absolute path), and every refusal has a reason.
 *
 * First byte: what the rest is (0 an X509SVIDResponse, 1 an X509BundlesResponse, 2 an address).
 */
#include "agentclient/workload/reply.h"
#include "agentclient/workload/workload.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_identity(const uint8_t *data, size_t size) {
  char why[512] = "";
  struct identity *id = reply_identity(data, size, why, sizeof why);
  if (!id && !why[0])
    abort();
  if (!id)
    return;
  const struct identity_svid *s = identity_select(id, NULL, NULL);
  if (!s || !s->leaf || !s->key || identity_svid_count(id) == 0 || identity_domain_count(id) == 0)
    abort();
  if (X509_check_private_key(s->leaf, s->key) != 1)
    abort();
  identity_unref(id);
}

static size_t told;

static void count(void *arg, const struct identity_raw_bundle *bundles, size_t n) {
  (void)arg;
  told = n;
  for (size_t i = 0; i < n; i++)
    if (!bundles[i].trust_domain || !bundles[i].trust_domain[0])
      abort();
}

static void as_bundles(const uint8_t *data, size_t size) {
  char why[512] = "";
  told = 0;
  int rc = reply_bundles(data, size, count, NULL, why, sizeof why);
  if ((rc == 0) != (told > 0) || (rc != 0 && !why[0]))
    abort();
}

static void as_address(const uint8_t *data, size_t size) {
  struct sockaddr_storage ss;
  const struct sockaddr_un *un = (const struct sockaddr_un *)&ss;
  unsigned len;
  char why[512] = "", *text = malloc(size + 1);
  if (!text)
    return;
  memcpy(text, data, size);
  text[size] = 0;
  if (workload_endpoint_parse(text, &ss, &len, why, sizeof why) == 0) {
    if (len == 0 || len > sizeof ss)
      abort();
    if (ss.ss_family == AF_UNIX && (un->sun_path[0] != '/' || strlen(un->sun_path) >= sizeof un->sun_path))
      abort();
  } else if (!why[0]) {
    abort();
  }
  free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0)
    return 0;
  if (data[0] % 3 == 0)
    as_identity(data + 1, size - 1);
  else if (data[0] % 3 == 1)
    as_bundles(data + 1, size - 1);
  else
    as_address(data + 1, size - 1);
  return 0;
}
