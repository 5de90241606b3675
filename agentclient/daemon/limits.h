/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.h - `limits:` of a rule: connections at a time and new ones a second, of the rule and of each peer identity.
 *
 * Counted are authenticated connections, of all sessions that share a configuration. The peers' table is bounded; who
 * finds no place in it is refused, so that nobody gets past a limit by being many.
 */
#ifndef DAEMON_LIMITS_H
#define DAEMON_LIMITS_H

#include "config.h"

#include <stdint.h>

#define LIMITS_MAX 8192u /* rules and peers counted at a time */

struct limits;
struct limit;

/* What a live connection counts in. Zeroed: nowhere. */
struct limits_hold {
  struct limit *rule, *peer;
};

struct limits *limits_new(void);
void limits_free(struct limits *l); /* after the last hold was released */

/* May one more connection of this peer begin? true: it is counted, until limits_release(). false: nothing is, and why
 * names the limit. */
bool limits_admit(struct limits *l, const struct config *c, const struct policy_rule *rule, const char *peer,
                  int64_t now_ms, struct limits_hold *hold, char *why, size_t why_len);
/* Counts one that is there already (its rule changed): no limit ends it. */
void limits_count(struct limits *l, const struct config *c, const struct policy_rule *rule, const char *peer,
                  int64_t now_ms, struct limits_hold *hold);
void limits_release(struct limits_hold *hold);

#endif
