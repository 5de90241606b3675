/* SPDX-License-Identifier: Apache-2.0 */
/*
 * canary.h - the daemon's part of canary rules: connects that programs let out in plaintext, and rules that go back
 * to plaintext for a while after a failure (on_failure: suspend). Every beginning and end of that is told, in the log
 * and the audit log.
 *
 * A suspension is of a rule of a configuration, by its name. It survives a change of policy in which the rule is a
 * canary that suspends still; any other change ends it. It does not survive the daemon.
 */
#ifndef DAEMON_CANARY_H
#define DAEMON_CANARY_H

#include "control.h"
#include "session.h"
#include "svidwrap/rules.h"

#include <stdint.h>
#include <sys/queue.h>

struct canary;
LIST_HEAD(canary_list, canary);

/* The handler of WIRE_PLAIN. */
void canary_plain(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]);

/* mTLS failed under this rule (of policy, which may be an older one): suspends it, if it says so. */
void canary_failed(struct session *s, const struct policy *policy, uint32_t rule, const struct sockaddr *dest,
                   const char *reason);

/* The table that is about to be published for c->policy: sets RULES_SUSPENDED where it is due, and ends the
 * suspensions that the policy knows nothing of. */
void canary_mark(struct worker *w, const struct config *c, struct rules_table *table);

/* Milliseconds until the rule is back; 0: it is not suspended. */
int64_t canary_suspended(const struct worker *w, const struct config *c, const char *rule);

void canary_close(struct worker *w);

#endif
