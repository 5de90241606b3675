/* SPDX-License-Identifier: Apache-2.0 */
/*
 * requests.h - which handler answers which message, and the small ones: HELLO, IDENTITY, ARENA.
 */
#ifndef DAEMON_REQUESTS_H
#define DAEMON_REQUESTS_H

#include "control.h"

void requests_dispatch(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]);

#endif
