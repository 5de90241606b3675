/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shared.h - TCP sockets that another process may connect: those that were not connected when fork() made a second
 * holder, or that were passed on or inherited. The process that connects one protects it, and the others have no
 * keys: for them such a number is looked at before every use, and refused once a connection that the rules cover is
 * on it.
 */
#ifndef SHIM_SHARED_H
#define SHIM_SHARED_H

#include "fdtab.h"

/* Before fork(), under pending_gate: every TCP socket of ours that is neither connected nor listening. */
void shared_before_fork(void);
/* This plain number's socket may be connected by somebody else. connected: it may be already. */
void shared_mark(int fd, bool connected);
/* pending.c made this number plain again: may others have the socket still? */
void shared_again(int fd);
bool shared_is(int fd);
bool shared_is_closed(int fd); /* TCP is: nobody has connected it, nobody is connecting it */
/* The number is the kernel's again, because this process connects or listens. false: it is connected already, or on
 * its way there: the real call says so. */
bool shared_release(int fd);
/* read() and write(). 0: the number is plain now, make the real call; 1: the end of the stream; -1 and errno. */
int shared_io(struct sock *s, int fd, bool write, int flags);

/* For what uses a number past the hooks: is it such a socket, and connected where the rules are? errno is left alone.
 */
bool shared_refuses(int fd);

/* A descriptor that this process has from another one: refused (a closed end takes its place) where it is a
 * connection that the rules cover, for nobody here has its keys. what: "descriptor 5, which was passed to this
 * program". True: it was refused. */
bool shared_received(int fd, const char *what);

#endif
