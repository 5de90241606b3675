/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listener.h - the stand-in listener: what a managed listen() leaves behind in the program.
 *
 * The program's number holds an AF_UNIX listening socket under a random abstract name; the daemon holds
 * the TCP listener and connects to the stand-in once for every authenticated peer.
 */
#ifndef SHIM_LISTENER_H
#define SHIM_LISTENER_H

#include "fdtab.h"
#include "svidwrap/rules.h"
#include "svidwrap/wire.h"

struct listener {
  char name[WIRE_NAME_LEN];
  int real;        /* hidden: the TCP listener; answers getsockname(), getsockopt(), setsockopt() */
  int life;        /* hidden: the daemon sees it close when the last process lets go */
  int backlog;
  struct rules_entry rule;
};

/* listen() on a TCP socket. Decides by the rules; 0 or -1 and errno. */
int listener_listen(int fd, int backlog);
/* accept4() on a stand-in (pinned sock s behind fd). */
int listener_accept(struct sock *s, int fd, struct sockaddr *addr, socklen_t *len, int flags);
/* An unknown number: is it a stand-in that this image inherited? Adopts it (puts it in the table).
 * 1 adopted, 0 not a stand-in, -1 and errno. */
int listener_adopt(int fd);
/* The last number of this process is about to be closed / was closed. */
void listener_closing(struct listener *l);
void listener_closed(struct listener *l, int fd_closed);
/* bind() answered EADDRINUSE: have the daemon look for orphans. 1: try again. */
int listener_sync(const struct sockaddr *sa, socklen_t len);

#endif
