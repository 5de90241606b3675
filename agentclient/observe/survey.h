/* SPDX-License-Identifier: Apache-2.0 */
/*
 * survey.h - the document behind `svidwrap report`: what the ledger saw under every rule in a window of time, and
 * whether the rule can be enforced.
 *
 * A rule is safe to enforce exactly when in the window no plaintext and nothing that would be denied was seen, some
 * authenticated traffic was, and nothing is known to be missing from the counts. Silence is not safe.
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
/* New reference. NULL: out of memory. */
json_t *survey_json(struct survey *s);
void survey_free(struct survey *s);

#endif
