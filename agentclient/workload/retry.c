/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When to ask again, and what an answer without an SVID means.
 */
#include "client.h"

#include <openssl/rand.h>

#include <string.h>

#define BACKOFF_FIRST_MS 1000
#define AWAY_MAX_MS      3000  /* an agent that comes back is found within seconds */
#define DENIED_MAX_MS    10000 /* it answers, and each question is a line in its log */

/* Between 80 and 120 per cent, so that a thousand workloads do not meet at the agent that comes back. */
int64_t client_backoff(unsigned failures, bool away) {
  int64_t ms = BACKOFF_FIRST_MS, max = away ? AWAY_MAX_MS : DENIED_MAX_MS;
  uint16_t r = 32768;
  for (unsigned i = 1; i < failures && ms < max; i++)
    ms *= 2;
  if (ms > max)
    ms = max;
  (void)RAND_bytes((unsigned char *)&r, sizeof r);
  return ms * 8 / 10 + ms * 4 * r / (10 * 65536);
}

enum workload_event client_verdict(grpc_status_code code, const char *details) {
  switch (code) {
  case GRPC_STATUS_PERMISSION_DENIED:
    return WORKLOAD_DENIED;
  case GRPC_STATUS_INVALID_ARGUMENT: /* it did not like the header that we always send */
  case GRPC_STATUS_UNIMPLEMENTED:    /* somebody else's socket, or a reply that is compressed */
    return WORKLOAD_BAD_REPLY;
  case GRPC_STATUS_RESOURCE_EXHAUSTED: /* ours when the reply is too large; an agent's own is no defect */
    return strncmp(details, "Received message larger than max", 32) == 0 ? WORKLOAD_BAD_REPLY : WORKLOAD_UNAVAILABLE;
  default:
    return WORKLOAD_UNAVAILABLE;
  }
}
