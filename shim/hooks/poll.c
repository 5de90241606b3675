/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poll.c - poll() and ppoll(), and their fortified twins.
 */
#undef _FORTIFY_SOURCE /* its inline poll() must stay out of the file that defines poll() */

#include "../conn_pages.h"
#include "../libc.h"
#include "../relay.h"
#include "../wait.h"

#include <stdlib.h>

static int wait_data(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask) {
  if (pages_readable(fds, n * sizeof *fds) == n * sizeof *fds) {
    for (nfds_t i = 0; i < n; i++)
      relay_follow_number(fds[i].fd);
  }
  return wait_poll_data(fds, n, timeout, mask);
}

HOOK int poll(struct pollfd *fds, nfds_t n, int timeout) {
  if (wait_none())
    return libc_real()->poll(fds, n, timeout);
  struct timespec t = {.tv_sec = timeout / 1000, .tv_nsec = (timeout % 1000) * 1000000L};
  return wait_data(fds, n, timeout < 0 ? NULL : &t, NULL);
}

HOOK int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask) {
  return wait_none() ? libc_real()->ppoll(fds, n, timeout, mask) : wait_data(fds, n, timeout, mask);
}

/* What the compiler calls instead where it knows the array's size (_FORTIFY_SOURCE). */
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask, size_t size);
extern void __chk_fail(void) __attribute__((noreturn));

HOOK int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size) {
  if (size / sizeof *fds < n)
    __chk_fail();
  return poll(fds, n, timeout);
}

HOOK int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
                     size_t size) {
  if (size / sizeof *fds < n)
    __chk_fail();
  return ppoll(fds, n, timeout, mask);
}
