/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoll.c - the epoll family.
 *
 * epoll_wait() looks for tags after the kernel's answer even when nothing was pending before: another
 * thread's connect() may have begun and ended meanwhile. And where there are connections, for pieces of records.
 */
#include "../conn_pages.h"
#include "../libc.h"
#include "../wait.h"

#include <errno.h>
#include <time.h>

static int created(int fd) {
  if (fd >= 0) {
    fdtab_fresh(fd);
    fdtab_mark(fd, FDF_EPOLL);
  }
  return fd;
}

HOOK int epoll_create(int size) { return created(libc_real()->epoll_create(size)); }
HOOK int epoll_create1(int flags) { return created(libc_real()->epoll_create1(flags)); }

HOOK int epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev) { return epollreg_hook(epfd, op, fd, ev); }

/* n events came from the kernel while nothing seemed to be pending. */
static int judged(int epfd, struct epoll_event *events, int n, int max, const struct wait_clock *clock,
                  const sigset_t *mask) {
  bool useful;
  if (n <= 0 || !atomic_load_explicit(&epollreg_any, memory_order_relaxed))
    return n;
  n = wait_epoll_strip(events, n, &useful);
  n = wait_epoll_pieces(epfd, events, n);
  return n > 0 ? n : wait_epoll(epfd, events, max, clock, mask);
}

/* Only a wait that lasts needs to know when it began. */
static struct wait_clock clock_of(int timeout) {
  struct timespec t = {.tv_sec = timeout / 1000, .tv_nsec = (timeout % 1000) * 1000000L};
  if (timeout == 0)
    return (struct wait_clock){.forever = false};
  return wait_clock_start(timeout < 0 ? NULL : &t);
}

/* With a clock, for it may have to wait again. Out of line: epoll_wait() stays short. */
static __attribute__((noinline)) int timed(int epfd, struct epoll_event *events, int max, int timeout) {
  struct wait_clock clock = clock_of(timeout);
  if (!wait_idle())
    return wait_epoll(epfd, events, max, &clock, NULL);
  return judged(epfd, events, libc_real()->epoll_wait(epfd, events, max, timeout), max, &clock, NULL);
}

/* n events of a wait that a clock says nothing about: it did not wait, or for ever. */
static __attribute__((noinline)) int untimed(int epfd, struct epoll_event *events, int n, int max, int timeout) {
  struct wait_clock clock = clock_of(timeout);
  return judged(epfd, events, n, max, &clock, NULL);
}

HOOK int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout) {
  if (timeout > 0 || !wait_idle())
    return timed(epfd, events, max, timeout);
  int n = libc_real()->epoll_wait(epfd, events, max, timeout);
  if (n > 0 && atomic_load_explicit(&epollreg_any, memory_order_relaxed))
    return untimed(epfd, events, n, max, timeout);
  return n;
}

HOOK int epoll_pwait(int epfd, struct epoll_event *events, int max, int timeout, const sigset_t *mask) {
  struct wait_clock clock = clock_of(timeout);
  if (!wait_idle())
    return wait_epoll(epfd, events, max, &clock, mask);
  return judged(epfd, events, libc_real()->epoll_pwait(epfd, events, max, timeout, mask), max, &clock, mask);
}

HOOK int epoll_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *timeout,
                      const sigset_t *mask) {
  if (!libc_real()->epoll_pwait2) {
    errno = ENOSYS;
    return -1;
  }
  bool odd = timeout && (pages_readable(timeout, sizeof *timeout) != sizeof *timeout || timeout->tv_sec < 0 ||
                         timeout->tv_nsec < 0 || timeout->tv_nsec > 999999999L);
  struct wait_clock clock = wait_clock_start(odd ? NULL : timeout);
  if (!wait_idle() && !odd)
    return wait_epoll(epfd, events, max, &clock, mask);
  return judged(epfd, events, libc_real()->epoll_pwait2(epfd, events, max, timeout, mask), max, &clock, mask);
}
