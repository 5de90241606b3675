/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dial.c - one outbound handshake. An outcome becomes an errno here and nowhere else.
 */
#include "dial.h"

#include <errno.h>
#include <stdlib.h>

struct dial {
  struct flight *flight;
  dial_fn done;
  void *arg;
  int deny_errno;
};

static void dial_landed(void *arg, struct handshake_result *result) {
  struct dial *d = arg;
  int err = result->outcome == HANDSHAKE_OK ? 0 : handshake_errno(result->outcome, d->deny_errno);
  if (result->outcome != HANDSHAKE_OK && err == 0)
    err = ECONNREFUSED; /* TCP failed or cancelled: there is no connection, whatever it is called */
  d->done(d->arg, err, result);
  free(d);
}

struct dial *dial_begin(struct post *post, struct handshake_pool *pool, const struct dial_request *request,
                        dial_fn done, void *arg) {
  const struct policy_rule *rule = policy_rule_at(request->policy, request->rule);
  struct dial *d = rule ? calloc(1, sizeof *d) : NULL;
  if (!d)
    return NULL;
  d->done = done;
  d->arg = arg;
  d->deny_errno = rule->deny_errno ? rule->deny_errno : EACCES;
  struct handshake_request r = {.fd = request->fd,
                                .role = ARENA_CLIENT,
                                .connecting = request->connecting,
                                .identity = request->identity,
                                .svid = request->svid,
                                .policy = request->policy,
                                .rule = request->rule,
                                .host = request->host,
                                .timeout_ms = request->timeout_ms};
  d->flight = flight_begin(post, pool, &r, dial_landed, d);
  if (!d->flight) {
    free(d);
    return NULL;
  }
  return d;
}

void dial_cancel(struct dial *d) { flight_cancel(d->flight); }
