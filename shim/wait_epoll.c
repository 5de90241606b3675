/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wait_epoll.c - epoll_wait() while connects are pending.
 *
 * The reply sockets are in the epoll set under tags. A tag that comes up means "look whether the answer is
 * there"; the TCP socket returns to the set then, and the kernel reports it. The program never sees a tag.
 */
#include "wait.h"

#include "libc.h"
#include "pending_int.h"

#include <errno.h>

int wait_epoll_strip(struct epoll_event *events, int n, bool *useful) {
  int out = 0;
  *useful = false;
  for (int i = 0; i < n; i++) {
    int fd;
    if (!epollreg_tag(events[i].data.u64, &fd)) {
      if (out != i)
        events[out] = events[i];
      out++;
      continue;
    }
    struct sock *s = fd >= 0 ? fdtab_get(fd) : NULL;
    if (s) {
      *useful |= pending_settle(s, fd) != SOCK_PENDING;
      sock_put(s);
    }
  }
  return out;
}

static void settle_blind(int fd, struct sock *s, void *arg) {
  bool *blind = arg;
  if (pending_settle(s, fd) != SOCK_PENDING)
    return;
  struct pending *p = pending_pin(s);
  if (p) {
    *blind |= pending_reply(p) < 0;
    pending_unpin(p);
  }
}

/* Connects without a reply socket are in no epoll set: they are looked at in slices. */
static bool slices(void) {
  bool blind = false;
  if (atomic_load(&pending_blind) != 0)
    fdtab_each(settle_blind, &blind);
  wait_flush();
  return blind || atomic_load(&conn_unsent) != 0;
}

static int real_wait(int epfd, struct epoll_event *events, int max, const struct timespec *left,
                     const sigset_t *mask) {
  if (libc_real()->epoll_pwait2) {
    int rc = libc_real()->epoll_pwait2(epfd, events, max, left, mask);
    if (rc >= 0 || errno != ENOSYS)
      return rc;
  }
  /* Before Linux 5.11: milliseconds, rounded up so as not to return early. */
  int ms = -1;
  if (left)
    ms = left->tv_sec > 2000000 ? 2000000000 : (int)(left->tv_sec * 1000 + (left->tv_nsec + 999999) / 1000000);
  return libc_real()->epoll_pwait(epfd, events, max, ms, mask);
}

int wait_epoll(int epfd, struct epoll_event *events, int max, const struct wait_clock *clock, const sigset_t *mask) {
  int keep = errno;
  for (;;) {
    struct timespec left;
    bool sliced = slices(), useful;
    bool last = wait_clock_left(clock, sliced ? WAIT_SLICE_MS : -1, &left);
    int n = real_wait(epfd, events, max, clock->forever && !sliced ? NULL : &left, mask);
    if (n < 0)
      return -1;
    int stripped = wait_epoll_strip(events, n, &useful);
    int out = wait_epoll_pieces(epfd, events, stripped);
    useful |= out < stripped;
    errno = keep;
    if (out > 0 || (last && n == 0))
      return out;
    if (n > 0 && !useful) {
      /* Another process or thread is about to settle it. */
      if (last && left.tv_sec == 0 && left.tv_nsec == 0)
        return 0;
      const struct timespec nap = {.tv_nsec = 1000000};
      if (libc_real()->ppoll(NULL, 0, &nap, mask) < 0)
        return -1;
    }
  }
}
