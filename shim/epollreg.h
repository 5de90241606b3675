/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epollreg.h - which epoll sets watch which TCP socket, and what stands in its place there.
 *
 * While a connect() is pending its reply socket is in the epoll set instead, under a tag: the address of
 * a record in here, which no program can have as data of its own. A tag is never shown to the program.
 * Records come from a fixed array; nothing in here allocates.
 */
#ifndef SHIM_EPOLLREG_H
#define SHIM_EPOLLREG_H

#include "pending.h"

/* What epoll_wait() answers may have to be looked at: a tag is, or was, in some set, or a connection whose readiness
 * may be a piece of a record. Else nobody calls anything in here for it. */
extern _Atomic bool epollreg_any;

/* All of the epoll_ctl() hook. */
int epollreg_hook(int epfd, int op, int fd, struct epoll_event *ev);

/* connect() begins: the TCP socket leaves its epoll sets, the reply socket (if there is one yet) goes in. */
void epollreg_out(struct pending *p, int fd);
/* There is a reply socket now. */
void epollreg_reply(struct pending *p);
/* The reply socket is about to be closed or replaced: out of the sets. */
void epollreg_lost(struct pending *p);
/* The answer is there: the TCP socket returns with the program's events and data, once, by whichever process
 * or thread gets the reply socket out. keep: the number may be connected again, so remember its sets. */
void epollreg_back(struct pending *p, bool keep);
/* The last number was closed. */
void epollreg_gone(struct pending *p);

/* What the kernel has for this number in an epoll set, as /proc tells. */
bool epollreg_registered(int epfd, int fd, uint32_t *events, uint64_t *data);

/* The number of which this set says `data`, if that is known of one and no more, and how it is registered; else -1.
 */
int epollreg_number(int epfd, uint64_t data, uint32_t *events);
/* What a one-shot registration reported was nothing: it may report again. */
void epollreg_again(int epfd, int fd);

/* Is it the address of a record? */
bool epollreg_is_tag(uint64_t data);
/* Is this what epoll_wait() returned for a reply socket? *fd: the number whose connect() it is about, or -1. */
bool epollreg_tag(uint64_t data, int *fd);

void epollreg_fork_prepare(void);
void epollreg_fork_done(void);

#endif
