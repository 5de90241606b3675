/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attest.h - who is calling: SO_PEERCRED at accept, the rest from /proc when the RPC opens.
 *
 * The split is SPIRE's, and it matters: a wrapped program's shim dials before an exec now and then, and
 * what the process is when it asks is what it gets.
 */
#ifndef DEVAGENT_ATTEST_H
#define DEVAGENT_ATTEST_H

#include <stddef.h>
#include <sys/types.h>

/* Taken when a connection is accepted. */
struct devagent_caller {
  pid_t pid;
  uid_t uid;
  gid_t gid;
  unsigned long long start_time; /* /proc/PID/stat, field 22: tells a pid that was reused */
};

struct devagent_selectors {
  char **at; /* "unix:uid:0" ... */
  size_t count;
};

/* 0, or -1 (not a unix socket, peer gone). */
int devagent_caller_take(int fd, struct devagent_caller *c);
/* The caller's selectors now; -1 when that process is no more. Free with devagent_selectors_free(). */
int devagent_attest(const struct devagent_caller *c, struct devagent_selectors *out);
void devagent_selectors_free(struct devagent_selectors *s);

/* Do all that are wanted appear? */
int devagent_selectors_match(const struct devagent_selectors *have, char *const *wanted, size_t count);

#endif
