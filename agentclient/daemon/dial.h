/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dial.h - the daemon's outbound interface: (TCP socket, address, deadline) -> authenticated, or an errno.
 *
 * Knows nothing of the shim or of its messages. The TCP connect() itself was made by whoever owns the socket;
 * here follow the handshake, the verification and the policy.
 */
#ifndef DAEMON_DIAL_H
#define DAEMON_DIAL_H

#include "flight.h"

#include <sys/socket.h>

struct dial_request {
  int fd;          /* the caller's; stays open until done has run */
  bool connecting; /* TCP connect() is still in progress */
  struct identity *identity;
  const struct identity_svid *svid;
  struct policy *policy;
  uint32_t rule;
  const char *host; /* what the program resolved, or NULL; borrowed until done */
  uint32_t timeout_ms;
};

/* err: 0 when authenticated, else what connect() answers. On the control thread, exactly once. */
typedef void (*dial_fn)(void *arg, int err, struct handshake_result *result);

struct dial;
/* NULL: out of memory; no callback. */
struct dial *dial_begin(struct post *post, struct handshake_pool *pool, const struct dial_request *request,
                        dial_fn done, void *arg);
void dial_cancel(struct dial *d); /* the callback still comes */

#endif
