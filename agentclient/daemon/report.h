/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.h - decisions about connections, told to the audit log and counted.
 */
#ifndef DAEMON_REPORT_H
#define DAEMON_REPORT_H

#include "control.h"
#include "session.h"
#include "../handshake/handshake.h"

/* One decision, one line and one count, in the session's audit log (the default log where there is no session). -1:
 * the line was lost and the configuration says audit: {required}: the connection must not go on. So this comes before
 * it is handed to anybody. */
struct report_connection {
  struct worker *worker;
  const struct session *session; /* may be NULL */
  bool inbound;
  const struct policy *policy; /* that rule is of; NULL: the session's present one */
  uint32_t rule;
  const struct sockaddr *local, *remote; /* may be NULL */
  const struct handshake_result *result;
  const char *plaintext; /* not NULL: let through in plaintext, and why; result is not looked at then */
  bool late;             /* an alert after the handshake, which was counted when it ended */
};
int report_connection(const struct report_connection *r);
#define REPORT_LOST "no line could be written to the audit log, and audit.required says that nothing goes without"

/* audit: {required}: can lines be written? Asked before a handshake is begun. false, and a text that names the cause.
 */
bool report_admits(const struct config *c, char *why, size_t why_len);

/* The handler of WIRE_ALERT: an alert after the handshake. In TLS 1.3 a server judges our certificate when our
 * connect() is done already; so `refused_by_peer` may follow on `allowed`. */
void report_alert(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]);

#endif
