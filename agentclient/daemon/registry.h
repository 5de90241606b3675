/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry.h - what registry.c (the messages about listeners) and listeners.c (the listeners) ask of each other.
 */
#ifndef DAEMON_REGISTRY_H
#define DAEMON_REGISTRY_H

#include "listeners.h"

#define ATTACH_NO_RULE UINT32_MAX /* the session's policy has no rule that enforces here: it cannot speak */

/* The rule of this session's policy that manages the TCP listener fd, or ATTACH_NO_RULE. */
uint32_t registry_rule(const struct session *s, int fd);

/* Takes fd over on success; NULL and errno otherwise. */
struct listener *listener_new(struct worker *w, struct session *s, const char *name, int fd, int backlog);
void listener_detach(struct attach *a);
/* Closes the listener if its stand-in is gone; true: it was. Else watches it when nobody else does. */
bool listener_check(struct listener *l);

/* Does anybody speak for it? One may be attached to it and not: whose process has become another user since. */
bool listener_has_session(const struct listener *l);

#endif
