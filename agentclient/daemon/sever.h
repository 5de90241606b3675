/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sever.h - ends TCP connections that programs hold and we do not, so that who waits on them wakes.
 *
 * By SOCK_DESTROY where we may (CAP_NET_ADMIN), else by shutdown() on a copy of the descriptor that a holder has
 * (pidfd_getfd, which asks for what ptrace asks for). May take as long as a look at all of /proc: not for the control
 * thread.
 */
#ifndef DAEMON_SEVER_H
#define DAEMON_SEVER_H

#include "diag.h"

#include <stdbool.h>
#include <stddef.h>

struct sever_target {
  struct diag_id id;
  unsigned long inode;
  uid_t uid; /* whose processes may hold it; a daemon of root looks at all */
  bool done; /* out: it is shut, or it is no more */
};

void sever(struct sever_target *targets, size_t count);

#endif
