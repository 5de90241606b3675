/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload.h - how a configuration changes while programs use it: one way for a changed file, a changed mode and
 * changed addresses of host names.
 *
 * All or nothing. What holds the index of a rule (listeners, connects under way, live connections) is matched again
 * by its addresses, and judged again: an index means nothing beyond the policy that it was taken from.
 */
#ifndef DAEMON_RELOAD_H
#define DAEMON_RELOAD_H

#include "config.h"

struct worker;

/* Makes fresh the policy of a configuration; takes over the caller's reference if it does. 0, or -1 and why: then
 * everything is as it was, and fresh is the caller's still. */
int config_apply(struct worker *w, struct config *c, struct policy *fresh, char *why, size_t why_len);

/* The addresses that the daemon found for the host names in connect rules; copied. As above. */
int config_set_addresses(struct worker *w, struct config *c, const struct policy_addresses *found, size_t count,
                         char *why, size_t why_len);

/* The file's text, read again. 1: applied; 0: it is what it was; -1: refused, logged and counted: the old policy
 * stays. */
int config_reload(struct worker *w, struct config *c, const char *text, size_t len, const struct stat *st);
/* The same for a file that cannot be read: -1. */
int config_reload_failed(struct config *c, const char *why);

#endif
