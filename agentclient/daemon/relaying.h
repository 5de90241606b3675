/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relaying.h - a connection goes from the record engine to the relay in mid-stream.
 */
#ifndef DAEMON_RELAYING_H
#define DAEMON_RELAYING_H

#include "control.h"

/* The handler of WIRE_RELAY. */
void relaying_take(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]);

#endif
