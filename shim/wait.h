/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wait.h - poll, select and epoll_wait while a connect() is pending.
 *
 * The reply socket is waited for in the TCP socket's place; once the answer is there the TCP socket
 * itself is asked. That does not run in a process without pending connects and without sealed bytes
 * that the kernel has not taken. All of them look at what makes a protected connection readable, too.
 */
#ifndef SHIM_WAIT_H
#define SHIM_WAIT_H

#include "conn.h"
#include "epollreg.h"
#include "pending.h"

#include <poll.h>
#include <signal.h>
#include <sys/select.h>
#include <time.h>

static inline bool wait_idle(void) {
  return atomic_load_explicit(&pending_count, memory_order_relaxed) == 0 &&
         atomic_load_explicit(&conn_unsent, memory_order_relaxed) == 0;
}

/* Nothing here has anything to do: every wait is the kernel's. */
static inline bool wait_none(void) { return wait_idle() && !atomic_load_explicit(&conn_any, memory_order_relaxed); }

/* A time limit, counted from the start through all repetitions. */
struct wait_clock {
  bool forever;
  struct timespec end; /* CLOCK_MONOTONIC */
};
struct wait_clock wait_clock_start(const struct timespec *timeout); /* NULL: for ever */
/* What is left, at most slice_ms if that is not negative. True: that is all there is left. */
bool wait_clock_left(const struct wait_clock *c, int slice_ms, struct timespec *left);

#define WAIT_SLICE_MS 10
/* Writes out what is sealed and unsent, where there is such. Then the caller waits in slices. */
void wait_flush(void);

/* poll() says that fd is readable: is there nothing but a piece of a record behind it? */
bool wait_piece(int fd);
/* Takes the readiness of such numbers back; how many of fds have nothing left. */
int wait_pieces(struct pollfd *fds, nfds_t n);
/* The same of n events of an epoll set that are level-triggered or one-shot; how many events are left. */
int wait_epoll_pieces(int epfd, struct epoll_event *events, int n);
/* As ppoll() and pselect(), where connections are protected and none is pending. */
int wait_poll_data(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask);
int wait_select_data(int nfds, fd_set *r, fd_set *w, fd_set *e, const struct wait_clock *clock, const sigset_t *mask);

/* As ppoll(). */
int wait_poll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask);
/* As pselect(); *left receives what is left of the time, if it is not NULL. */
int wait_select(int nfds, fd_set *r, fd_set *w, fd_set *e, const struct timespec *timeout, const sigset_t *mask,
                struct timespec *left);
/* As epoll_pwait2(). */
int wait_epoll(int epfd, struct epoll_event *events, int max, const struct wait_clock *clock, const sigset_t *mask);
/* Takes tags out of n events and settles what they stand for; how many are left. *useful: an answer was there. */
int wait_epoll_strip(struct epoll_event *events, int n, bool *useful);

#endif
