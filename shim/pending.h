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

/* Socks of this process that are PENDING. 0: no wait hook has anything to do. */
extern _Atomic uint32_t pending_count;

/* Per-number flag (beside FDF_*): this plain FDF_TCP number has, or had, a dup(). fdtab_dup() sets it on both;
 * connect() then looks for the others, for none of them may stay a way to the TCP socket past us. */
#define FDF_ALIAS 0x20

/* The whole of connect(): decides by the rules. Result and errno as connect(). */
int pending_hook_connect(int fd, const struct sockaddr *sa, socklen_t len);

/* connect() on fd to a managed address. Result and errno as connect(). The one real connect() of a
 * managed socket is in here (pending_real_connect), so that it can move to the daemon one day. */
int pending_connect(int fd, const struct sockaddr *sa, socklen_t len, const struct rules_entry *rule,
                    const struct rules_hosts *hosts);
/* The same, for an address whose rule has decided for mTLS: refuses what cannot be protected, dials the agent. */
int pending_connect_protected(int fd, const struct sockaddr *sa, socklen_t len, const struct rules_entry *rule,
                              const struct rules_hosts *hosts);
/* Is this number, or a dup() of it, one where the C library has a stream: 0 to 2? */
bool pending_is_standard(int fd);
/* connect() there: the connection is relayed before any such number leads to it. It waits for the peer even where
 * O_NONBLOCK is set. */
int pending_connect_standard(int fd, const struct sockaddr *sa, socklen_t len, const struct rules_entry *rule,
                             const struct rules_hosts *hosts);
/* A further connect() on a number whose sock is PENDING, FAILED or CONN. */
int pending_connect_again(struct sock *s, int fd, const struct sockaddr *sa, socklen_t len);

/* Looks whether the answer is there (never blocks) and if so makes the sock a CONN or FAILED. Returns the
 * kind it has now. Every hook that meets a PENDING sock calls this first. */
enum sock_kind pending_settle(struct sock *s, int fd);

/* Waits until a connect() that is under way has ended, whatever O_NONBLOCK says, and for no longer than it may take:
 * handlers run, and it goes on. */
void pending_await(struct sock *s, int fd);

/* Answers for a sock that is PENDING or FAILED, as TCP in SYN_SENT or after a failed connect. */
int pending_getpeername(struct sock *s, int fd, struct sockaddr *sa, socklen_t *len);
int pending_so_error(struct sock *s, int fd, int *error); /* SO_ERROR: reports once */
ssize_t pending_io(struct sock *s, int fd, bool write,
                   int flags); /* read/write: EAGAIN, ENOTCONN, EPIPE; blocks where TCP would; 0 with kind CONN or
                                  PLAIN: try again */
int pending_shutdown(struct sock *s, int fd, int how);

/* sendto() or sendmsg() with MSG_FASTOPEN and an address: 1: connected, write the data without the flag and
 * without the address; 0: not managed, make the real call; -1 and errno. */
int pending_fastopen(int fd, const struct sockaddr *sa, socklen_t len);
/* setsockopt() calls that are answered 0 and not made: TCP_FASTOPEN_CONNECT. */
bool pending_swallow_sockopt(int level, int opt);

/* Last close in this process (the answer is not waited for: the daemon sees the reply socket close). fd is
 * the number that is about to be closed: an answer that came unnoticed is then closed as a connection is. */
void pending_close_fd(struct sock *s, int fd);
void pending_close(struct sock *s);

/* Around fork(): prepare takes this module's locks and adds the child's share to every pending connect;
 * exactly one of the others follows (the child's calls pending_after_fork() for every sock). */
void pending_fork_prepare(void);
void pending_fork_parent(bool failed);
void pending_fork_child(void);
void pending_after_fork(struct sock *s);
/* exec replaces this process: its shares are given back; and taken again when exec failed. */
void pending_exec(bool failed);

/* epoll registrations of TCP sockets, so that connect() and listen() know where their number is watched
 * (epollreg.c). epollreg_rearm: after listen() put a stand-in over fd, register it again. */
void epollreg_ctl(int epfd, int op, int fd, const struct epoll_event *ev);
void epollreg_forget(int fd);
void epollreg_rearm(int fd);
/* Before dup3() puts another file over fd: takes the registrations out of their epoll sets (the old file
 * stays open elsewhere and would go on reporting), keeping them for epollreg_rearm(). */
void epollreg_detach(int fd);

#endif
