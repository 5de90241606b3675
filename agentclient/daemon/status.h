/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.h - what the daemon tells about itself to `svidwrap status`: WIRE_STATUS. Never a key, never payload.
 */
#ifndef DAEMON_STATUS_H
#define DAEMON_STATUS_H

#include "control.h"

/* The handler of WIRE_STATUS. A root-run daemon tells another uid only about that uid. */
void status_request(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]);

struct worker;
struct session;
struct slots;
/* Every arena once, with the session (perhaps ended) that its connections are of. */
void status_each_arena(struct worker *w, void (*fn)(void *arg, const struct slots *a, const struct session *s),
                       void *arg);

#endif
