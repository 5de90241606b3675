/* SPDX-License-Identifier: Apache-2.0 */
/*
 * changed.h - what became of rules by an order, told in audit lines, in the log and in the answer; and the way back.
 */
#ifndef DAEMON_CHANGED_H
#define DAEMON_CHANGED_H

#include "control.h"
#include "history.h"

#include <jansson.h>

bool changed_same_mode(const struct policy_rule *a, const struct policy_rule *b);

/* Every configuration of the entry has the policy again that it had before it. A failure (out of memory) is left as
 * it is and told: -1. */
int changed_undo(struct worker *w, struct history_entry *e);

/* An audit line and an item of the answer for every rule whose mode is another now than it was before the entry; one
 * without a rule for a configuration in which something else changed. written: the rule (rulename.h) whose mode was
 * written to the files, NULL for none; that is told even where it was in force already. */
json_t *changed_report(struct ctl *c, const struct history_entry *e, const char *event, const char *written);

#endif
