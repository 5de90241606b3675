/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aliases.c - the second names under which glibc exports some calls. A program that uses one must not pass us by.
 */
#include "../libc.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#define ALIAS(result, name, params, args)                                                                            \
  HOOK result __##name params;                                                                                       \
  HOOK result __##name params { return name args; }

ALIAS(int, connect, (int fd, const struct sockaddr *sa, socklen_t len), (fd, sa, len))
ALIAS(int, socket, (int domain, int type, int protocol), (domain, type, protocol))
ALIAS(ssize_t, recv, (int fd, void *buf, size_t n, int flags), (fd, buf, n, flags))
ALIAS(int, poll, (struct pollfd * p, nfds_t n, int timeout), (p, n, timeout))
ALIAS(int, select, (int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *t), (n, r, w, e, t))
ALIAS(int, dup2, (int from, int to), (from, to))
ALIAS(int, fcntl, (int fd, int cmd, void *arg), (fd, cmd, arg))
ALIAS(pid_t, fork, (void), ())
ALIAS(int, clone,
      (int (*fn)(void *), void *stack, int flags, void *arg, void *parent_tid, void *tls, void *child_tid),
      (fn, stack, flags, arg, parent_tid, tls, child_tid))
