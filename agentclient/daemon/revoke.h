/* SPDX-License-Identifier: Apache-2.0 */
/*
 * revoke.h - ends live connections: the slot says so to every further call of the program, and the socket is shut so
 * that who waits on it wakes.
 */
#ifndef DAEMON_REVOKE_H
#define DAEMON_REVOKE_H

#include "live.h"

struct revoke;

struct revoke *revoke_new(struct worker *w);
void revoke_free(struct revoke *r);

/* why: a static text for log and audit. The rest happens from the loop. */
void revoke_live(struct live *l, const char *why);
/* The record goes: true when it may be freed now, false when a thread still has it (it is freed behind that). */
bool revoke_forget(struct live *l);

#endif
