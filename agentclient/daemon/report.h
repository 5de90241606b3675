/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.h - what the daemon tells about itself: audit lines of connections, and WIRE_STATUS.
 */
#ifndef DAEMON_REPORT_H
#define DAEMON_REPORT_H

#include "control.h"
#include "session.h"
#include "../handshake/handshake.h"

/* One decision, one line and one count, in the session's audit log (the default log where there is no session). */
struct report_connection {
  struct worker *worker;
  const struct session *session; /* may be NULL */
  bool inbound;
  uint32_t rule;
  const struct sockaddr *local, *remote; /* may be NULL */
  const struct handshake_result *result;
  const char *plaintext; /* not NULL: let through in plaintext, and why; result is not looked at then */
};
void report_connection(const struct report_connection *r);

/* The handler of WIRE_ALERT: an alert after the handshake. In TLS 1.3 a server judges our certificate when our
 * connect() is done already; so `refused_by_peer` may follow on `allowed`. */
void report_alert(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]);

/* The handler of WIRE_STATUS. */
void report_status(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]);

#endif
