/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wait_pieces.c - poll, select and epoll on protected connections: a piece of a record makes the socket readable, and
 * there is nothing in it for the program.
 *
 * TCP has something to read when it says so, and programs that wait with poll() and read from a blocking descriptor
 * lean on it: PHP takes the EAGAIN of its recv(MSG_DONTWAIT) for the end of the stream, and a server that just reads
 * would hang with the peer that stalls. So do programs whose descriptors do not block: sslh closes at an EAGAIN.
 */
#include "wait.h"

#include "libc.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define READ_EVENTS (POLLIN | POLLRDNORM)
#define SELECT_MAX  1024
#define WORD_BITS   (sizeof(unsigned long) * CHAR_BIT)

bool wait_piece(int fd) {
  struct sock *s = fdtab_plain(fd) ? NULL : fdtab_get(fd);
  if (!s)
    return false;
  int keep = errno;
  bool piece = atomic_load(&s->kind) == SOCK_CONN && conn_piece(&s->conn, fd);
  sock_put(s);
  errno = keep;
  return piece;
}

int wait_pieces(struct pollfd *fds, nfds_t n) {
  int gone = 0;
  for (nfds_t i = 0; i < n; i++) {
    if (!(fds[i].revents & READ_EVENTS) || (fds[i].revents & (POLLERR | POLLHUP | POLLRDHUP | POLLNVAL)) ||
        !wait_piece(fds[i].fd))
      continue;
    fds[i].revents = (short)(fds[i].revents & ~READ_EVENTS);
    gone += fds[i].revents == 0;
  }
  return gone;
}

int wait_epoll_pieces(int epfd, struct epoll_event *events, int n) {
  const uint32_t news = EPOLLERR | EPOLLHUP | EPOLLRDHUP, readable = EPOLLIN | EPOLLRDNORM;
  int out = 0;
  if (!atomic_load_explicit(&epollreg_any, memory_order_relaxed))
    return n;
  for (int i = 0; i < n; i++) {
    struct epoll_event e = events[i];
    uint32_t asked;
    int fd = (e.events & readable) && !(e.events & news) ? epollreg_number(epfd, e.data.u64, &asked) : -1;
    if (fd >= 0 && !(asked & EPOLLET) && wait_piece(fd)) {
      e.events &= ~readable;
      if (e.events == 0) {
        if (asked & EPOLLONESHOT)
          epollreg_again(epfd, fd);
        continue;
      }
    }
    events[out++] = e;
  }
  return out;
}

int wait_poll_data(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask) {
  struct timespec left = timeout ? *timeout : (struct timespec){0};
  bool bounded = timeout && (left.tv_sec > 0 || left.tv_nsec > 0);
  struct wait_clock clock = bounded ? wait_clock_start(timeout) : (struct wait_clock){0};
  for (;;) {
    if (!wait_idle())
      return wait_poll(fds, n, timeout ? &left : NULL, mask);
    int rc = libc_real()->ppoll(fds, n, timeout ? &left : NULL, mask);
    if (rc <= 0)
      return rc;
    rc -= wait_pieces(fds, n);
    if (rc > 0 || (timeout && !bounded))
      return rc;
    if (bounded)
      wait_clock_left(&clock, -1, &left); /* none left: one more look, and poll() answers 0 */
  }
}

static bool bit(const unsigned long *set, int fd) {
  return set[(size_t)fd / WORD_BITS] >> ((size_t)fd % WORD_BITS) & 1u;
}

/* Takes the numbers out of r behind which there is only a piece. How many. */
static int select_pieces(int nfds, unsigned long *r) {
  int gone = 0;
  for (int fd = 0; fd < nfds; fd++) {
    if (!bit(r, fd) || !wait_piece(fd))
      continue;
    r[(size_t)fd / WORD_BITS] &= ~(1ul << ((size_t)fd % WORD_BITS));
    gone++;
  }
  return gone;
}

/* Sets of the kernel's usual size. */
static int select_data(int nfds, fd_set *r, fd_set *w, fd_set *e, const struct wait_clock *clock,
                       const sigset_t *mask) {
  unsigned long asked[3][SELECT_MAX / WORD_BITS];
  fd_set *sets[3] = {r, w, e};
  size_t bytes = ((size_t)nfds + WORD_BITS - 1) / WORD_BITS * sizeof(unsigned long);
  for (int k = 0; k < 3; k++) {
    if (sets[k])
      memcpy(asked[k], sets[k], bytes);
  }
  for (;;) {
    struct timespec left;
    wait_clock_left(clock, -1, &left);
    int rc = libc_real()->pselect(nfds, r, w, e, clock->forever ? NULL : &left, mask);
    if (rc <= 0 || !r)
      return rc;
    rc -= select_pieces(nfds, (unsigned long *)(void *)r);
    if (rc > 0)
      return rc;
    for (int k = 0; k < 3; k++) {
      if (sets[k])
        memcpy(sets[k], asked[k], bytes);
    }
  }
}

int wait_select_data(int nfds, fd_set *r, fd_set *w, fd_set *e, const struct wait_clock *clock,
                     const sigset_t *mask) {
  struct timespec left;
  wait_clock_left(clock, -1, &left);
  if (!r || !conn_any || nfds < 0 || nfds > SELECT_MAX)
    return libc_real()->pselect(nfds, r, w, e, clock->forever ? NULL : &left, mask);
  return select_data(nfds, r, w, e, clock, mask);
}
