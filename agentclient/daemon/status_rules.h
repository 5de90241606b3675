/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status_rules.h - the part of the status document about configurations: their rules, modes and what came of them.
 */
#ifndef DAEMON_STATUS_RULES_H
#define DAEMON_STATUS_RULES_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

struct worker;
/* all false: only what uid brought along, and without counters where others may have had a part in them. */
json_t *status_configs(const struct worker *w, bool all, uid_t uid);

#endif
