/* SPDX-License-Identifier: Apache-2.0 */
/*
 * survey.h - the document behind `svidwrap report`: what the ledger saw under every rule in a window of time, and
 * whether the rule can be enforced.
 *
 * A rule is safe to enforce exactly when in the window no plaintext and nothing that would be denied was seen, some
 * authenticated traffic was, no plaintext connection of before is still open, and nothing is known to be missing from
 * the counts. Silence is not safe.
 */
#ifndef OBSERVE_SURVEY_H
#define OBSERVE_SURVEY_H

#include "ledger.h"
#include "../policy/policy.h"

#include <jansson.h>

struct survey;

/* NULL: out of memory. The ledger must not change until survey_free(). */
struct survey *survey_new(const struct ledger *l, time_t since, time_t now);
/* A rule of a configuration that is loaded; the same one may come again. 0, or -1: out of memory. */
int survey_rule(struct survey *s, const char *config, const struct policy_rule *rule);
/* The canary rule is back in plaintext for a while, after failures. As above. */
int survey_suspended(struct survey *s, const char *config, const char *rule);
/* A plaintext connection that is open now. The strings must live as long as the survey's ledger does, but peer. 0 or
 * -1 as above. */
int survey_open(struct survey *s, const char *config, const char *rule, bool inbound, const char *peer);
/* New reference. NULL: out of memory. */
json_t *survey_json(struct survey *s);
void survey_free(struct survey *s);

#endif
