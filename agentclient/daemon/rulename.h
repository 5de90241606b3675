/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rulename.h - which rule an operator means: by its name, by the port of a listen rule ("6379") or by a destination
 * of a connect rule ("10.0.0.5:6379", "[::1]:6379", "redis.internal:6379").
 */
#ifndef DAEMON_RULENAME_H
#define DAEMON_RULENAME_H

#include "config.h"

/* The rule's name (the policy's), NULL and why: there is none, or more than one. */
const char *rulename_find(const struct config *c, const char *text, char *why, size_t why_len);

#endif
