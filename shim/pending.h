/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pending.h - a managed connect(), from the call to the daemon's answer.
 *
 * The TCP socket stays behind the program's number. Until the answer is there, the reply socket (hidden)
 * is what the wait hooks watch in its place.
 */
#ifndef SHIM_PENDING_H
#define SHIM_PENDING_H

#include "fdtab.h"
#include "svidwrap/rules.h"

#include <sys/epoll.h>

/* connect() on fd to a managed address. Result and errno as connect(). The one real connect() of a
 * managed socket is in here (pending_real_connect), so that it can move to the daemon one day. */
int pending_connect(int fd, const struct sockaddr *sa, socklen_t len, const struct rules_entry *rule);
/* A further connect() on a number whose sock is PENDING or FAILED. */
int pending_connect_again(struct sock *s, int fd, const struct sockaddr *sa, socklen_t len);

/* Looks whether the answer is there (never blocks) and if so makes the sock a CONN or FAILED. Returns the
 * kind it has now. Every hook that meets a PENDING sock calls this first. */
enum sock_kind pending_settle(struct sock *s, int fd);

/* Answers for a sock that is PENDING or FAILED, as TCP in SYN_SENT or after a failed connect. */
int pending_getpeername(struct sock *s, int fd, struct sockaddr *sa, socklen_t *len);
int pending_so_error(struct sock *s, int fd, int *error); /* SO_ERROR: reports once */
ssize_t pending_io(struct sock *s, int fd, bool write, int flags); /* read/write: EAGAIN, ENOTCONN, EPIPE; blocks where TCP would; 0 with kind CONN: try again */
int pending_shutdown(struct sock *s, int fd, int how);

/* Last close in this process (the answer is not waited for: the daemon sees the reply socket close). */
void pending_close(struct sock *s);
void pending_after_fork(struct sock *s);

/* epoll registrations of TCP sockets, so that connect() and listen() know where their number is watched
 * (epollreg.c). epollreg_rearm: after listen() put a stand-in over fd, register it again. */
void epollreg_ctl(int epfd, int op, int fd, const struct epoll_event *ev);
void epollreg_forget(int fd);
void epollreg_rearm(int fd);
/* Before dup3() puts another file over fd: takes the registrations out of their epoll sets (the old file
 * stays open elsewhere and would go on reporting), keeping them for epollreg_rearm(). */
void epollreg_detach(int fd);

#endif
