/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outbound.h - WIRE_CONNECT: a program's connect(), from its message to the one answer.
 */
#ifndef DAEMON_OUTBOUND_H
#define DAEMON_OUTBOUND_H

#include "control.h"
#include "session.h"

void outbound_connect(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]);
/* Ends what the session has under way. */
void outbound_session_ended(struct session *s);
/* The agent took the session's identity away: no handshake under way may succeed with it. */
void outbound_identity_denied(struct session *s);

/* The session's configuration has another policy: its connects are matched and judged again. */
void outbound_policy_changed(struct session *s);

#endif
