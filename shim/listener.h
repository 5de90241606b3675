/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listener.h - the stand-in listener: what a managed listen() leaves behind in the program.
 *
 * The program's number holds an AF_UNIX listening socket under a random abstract name; the daemon holds
 * the TCP listener and connects to the stand-in once for every authenticated peer. So the number is
 * readable exactly when an authenticated connection waits.
 */
#ifndef SHIM_LISTENER_H
#define SHIM_LISTENER_H

#include "fdtab.h"
#include "svidwrap/rules.h"
#include "svidwrap/wire.h"

struct listener {
  char name[WIRE_NAME_LEN];
  bool used;
  _Atomic int closing; /* the last close has begun */
  int real;            /* hidden: the TCP listener; answers getsockname(), getsockopt(), setsockopt() */
  int life;            /* hidden: the daemon sees it close when the last process lets go */
  int backlog;
  struct rules_entry rule;
};

/* listen(). Decides by the rules; 0 or -1 and errno. */
int listener_listen(int fd, int backlog);
/* accept4() on a stand-in (s is pinned by the caller, behind fd). */
int listener_accept(struct sock *s, int fd, struct sockaddr *addr, socklen_t *len, int flags);

/* What is behind a number that is not in the table? A stand-in that this image inherited is adopted; a
 * managed TCP listener (inherited, or an alias from before listen()) becomes a stand-in.
 * 1: it is in the table now, 0: not ours, -1 and errno: ours, but it cannot be served (refuse). */
int listener_touch(int fd);
/* The same, for stand-ins only, after the kernel answered getsockname() with this address. */
int listener_touch_named(int fd, const struct sockaddr *sa, socklen_t len);

/* A descriptor that this process inherited or was passed: if it is a stand-in, it is marked, and listener_unused()
 * until it is used as a listener. Who only holds it, to pass it on, does not speak for it. errno is left alone. */
void listener_found(int fd);
static inline bool listener_unused(int fd) {
  return fdtab_plain(fd) && (unsigned)fd < FDTAB_MAX &&
         (atomic_load_explicit(&fdtab_flags[fd], memory_order_relaxed) & FDF_STANDIN);
}

/* The last number of this process has been closed. */
void listener_closed(struct listener *l);

/* shutdown() on a listener: no more connections, the name stays bound; listen() may follow. */
int listener_shutdown(struct sock *s, int fd, int how);

/* bind() answered EADDRINUSE: have the daemon look for orphans. True: try again. */
bool listener_sync(const struct sockaddr *sa, socklen_t len);

/* Registers one, or every listener of this process with the daemon again (the daemon is new). */
void listener_register(struct listener *l);
void listener_register_all(void);

void listener_after_fork(void);

#endif
