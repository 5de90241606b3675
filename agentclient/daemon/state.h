/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h - the daemon's counts in the directory that state_dir names, so that `svidwrap report` knows of what was
 * before a restart. Nothing else is kept on disk, and serving never depends on it: without a directory, or with one
 * that cannot be written, counting goes on in memory, and the log says so.
 */
#ifndef DAEMON_STATE_H
#define DAEMON_STATE_H

#include "config.h"

struct state;
struct worker;

/* dir NULL: none as yet. NULL: out of memory. */
struct state *state_new(struct worker *w, const char *dir);
/* A configuration came that may name the directory: the daemon's own did not. The first one does. */
void state_offer(struct state *s, const struct config *c, uid_t uid);
/* Writes what is left. */
void state_free(struct state *s);

const char *state_dir(const struct state *s); /* "" where there is none */
/* What keeps the counts from being kept, "" when all is well. */
const char *state_trouble(const struct state *s);

#endif
