/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unblock.h - accept() on a listener whose file status flags are not ours.
 *
 * O_NONBLOCK belongs to the open file description, and that is the program's: it may be blocking, and a hostile
 * program could make it so at any time. So the control thread looks first, and a timer interrupts it should
 * somebody else have taken the connection in between.
 */
#ifndef DAEMON_UNBLOCK_H
#define DAEMON_UNBLOCK_H

#include <sys/socket.h>

struct unblock;

/* For the calling thread, which must be the one that calls unblock_accept(). Takes SIGALRM. NULL and errno. */
struct unblock *unblock_new(void);
void unblock_free(struct unblock *u);

/* accept4() that does not wait: EAGAIN when nothing is there, ETIMEDOUT when it had to be interrupted. */
int unblock_accept(struct unblock *u, int fd, struct sockaddr *addr, socklen_t *len, int flags);

#endif
