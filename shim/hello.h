/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hello.h - the first exchange of a session: configuration in, rules and arena out.
 */
#ifndef SHIM_HELLO_H
#define SHIM_HELLO_H

#include "svidwrap/arena.h"
#include "svidwrap/rules.h"
#include "svidwrap/wire.h"

#include <stdbool.h>

struct hello_answer {
  struct wire_welcome welcome;
  int control; /* the session's control socket */
  int fds[2];  /* arena, rules: sizes checked */
};

/* Takes over control. flags: WIRE_HELLO_GUEST or 0. 0, or -1 and errno with everything closed (ENOENT: a guest is not
 * served here); complains where the operator must act. */
int hello_exchange(int control, uint32_t flags, struct hello_answer *out);

/* Before chroot() and when it has succeeded: from then on the configuration is what it was before. */
void hello_keep_config(void);
void hello_jailed(void);

/* Was the configuration what the daemon did not like, the last time? */
bool hello_config_refused(void);

/* Takes apart "unix:///path", "unix:/path" or "tcp://ip:port". 0 or -1. */
int hello_endpoint(const char *endpoint, struct sockaddr_storage *addr, socklen_t *len);

#endif
