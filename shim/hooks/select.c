/* SPDX-License-Identifier: Apache-2.0 */
/*
 * select.c - select() and pselect().
 */
#include "../conn_pages.h"
#include "../libc.h"
#include "../relay.h"
#include "../wait.h"

#include <errno.h>

static void follow(int nfds, const fd_set *set) {
  int n = nfds < FD_SETSIZE ? nfds : FD_SETSIZE;
  if (!set || n <= 0 || pages_readable(set, (size_t)(n + 7) / 8) != (size_t)(n + 7) / 8)
    return;
  for (int fd = 0; fd < n; fd++)
    if (FD_ISSET(fd, set))
      relay_follow_number(fd);
}

static int wait_sets(int nfds, fd_set *r, fd_set *w, fd_set *e, const struct timespec *timeout, const sigset_t *mask,
                     struct timespec *left) {
  follow(nfds, r);
  follow(nfds, w);
  return wait_select(nfds, r, w, e, timeout, mask, left);
}

HOOK int select(int nfds, fd_set *restrict r, fd_set *restrict w, fd_set *restrict e,
                struct timeval *restrict timeout) {
  if (wait_none())
    return libc_real()->select(nfds, r, w, e, timeout);
  if (!timeout)
    return wait_sets(nfds, r, w, e, NULL, NULL, NULL);
  if (timeout->tv_sec < 0 || timeout->tv_usec < 0) {
    errno = EINVAL;
    return -1;
  }
  /* The kernel normalises microseconds, and leaves in *timeout what is left, whatever the result. */
  struct timespec left,
      t = {.tv_sec = timeout->tv_sec + timeout->tv_usec / 1000000, .tv_nsec = (timeout->tv_usec % 1000000) * 1000};
  int rc = wait_sets(nfds, r, w, e, &t, NULL, &left);
  timeout->tv_sec = left.tv_sec;
  timeout->tv_usec = left.tv_nsec / 1000;
  return rc;
}

HOOK int pselect(int nfds, fd_set *restrict r, fd_set *restrict w, fd_set *restrict e,
                 const struct timespec *restrict timeout, const sigset_t *restrict mask) {
  return wait_none() ? libc_real()->pselect(nfds, r, w, e, timeout, mask)
                     : wait_sets(nfds, r, w, e, timeout, mask, NULL);
}
