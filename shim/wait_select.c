/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wait_select.c - select() with pending connects: done by poll(), for the reply socket's number may be
 * higher than an fd_set can hold. The sets keep Linux's meaning bit for bit.
 */
#include "wait.h"

#include "conn_pages.h"
#include "libc.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>

#define ON_STACK  64u
#define WORD_BITS (sizeof(unsigned long) * CHAR_BIT)

/* The kernel's own classes (fs/select.c). */
#define IN_SET  (POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR)
#define OUT_SET (POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR)
#define EX_SET  POLLPRI

/* fd_set by hand: programs pass sets that are larger than FD_SETSIZE. */
static bool bit(const fd_set *set, int fd) {
  return set && (((const unsigned long *)(const void *)set)[(size_t)fd / WORD_BITS] >> ((size_t)fd % WORD_BITS) & 1u);
}
static void set_bit(fd_set *set, int fd) {
  ((unsigned long *)(void *)set)[(size_t)fd / WORD_BITS] |= 1ul << ((size_t)fd % WORD_BITS);
}
static void clear(fd_set *set, int nfds) {
  if (set)
    memset(set, 0, ((size_t)nfds + WORD_BITS - 1) / WORD_BITS * sizeof(unsigned long));
}

static bool there(int nfds, const fd_set *set) {
  size_t n = ((size_t)nfds + WORD_BITS - 1) / WORD_BITS * sizeof(unsigned long);
  return !set || pages_writable(set, n) == n;
}

static nfds_t gather(int nfds, const fd_set *r, const fd_set *w, const fd_set *e, struct pollfd *out) {
  nfds_t n = 0;
  for (int fd = 0; fd < nfds; fd++) {
    short events = (short)((bit(r, fd) ? POLLIN | POLLRDNORM | POLLRDBAND : 0) |
                           (bit(w, fd) ? POLLOUT | POLLWRNORM | POLLWRBAND : 0) | (bit(e, fd) ? POLLPRI : 0));
    bool asked = bit(r, fd) || bit(w, fd) || bit(e, fd);
    if (asked && out)
      out[n] = (struct pollfd){.fd = fd, .events = events};
    n += asked;
  }
  return n;
}

/* poll() reports POLLHUP and POLLERR unasked; select() counts them only where a set asks. */
static bool counts(const struct pollfd *p, const fd_set *r, const fd_set *w, const fd_set *e) {
  return (bit(r, p->fd) && (p->revents & IN_SET)) || (bit(w, p->fd) && (p->revents & OUT_SET)) ||
         (bit(e, p->fd) && (p->revents & EX_SET));
}

/* Waits until something counts. -1 and errno, else 0. A number that is up but asked for nothing of it (POLLHUP
 * for a writer) would make poll() return at once for ever: it is looked at again every few milliseconds. */
static int wait_counted(struct pollfd *p, nfds_t n, const fd_set *r, const fd_set *w, const fd_set *e,
                        const struct wait_clock *clock, const sigset_t *mask) {
  for (;;) {
    struct timespec left;
    wait_clock_left(clock, -1, &left);
    int rc = wait_poll(p, n, clock->forever ? NULL : &left, mask);
    if (rc < 0)
      return -1;
    bool any = false;
    for (nfds_t i = 0; i < n; i++) {
      if (p[i].revents & POLLNVAL) {
        errno = EBADF;
        return -1;
      }
      any |= counts(&p[i], r, w, e);
    }
    wait_clock_left(clock, -1, &left);
    if (any || rc == 0 || (!clock->forever && left.tv_sec == 0 && left.tv_nsec == 0))
      return 0;
    const struct timespec nap = {.tv_nsec = WAIT_SLICE_MS * 1000000L / 2};
    if (libc_real()->ppoll(NULL, 0, &nap, mask) < 0)
      return -1;
  }
}

static int scatter(const struct pollfd *p, nfds_t n, int nfds, fd_set *r, fd_set *w, fd_set *e) {
  int bits = 0;
  struct {
    fd_set *set;
    short mask, asked;
  } out[3] = {{r, IN_SET, POLLIN}, {w, OUT_SET, POLLOUT}, {e, EX_SET, POLLPRI}};
  for (int k = 0; k < 3; k++) {
    clear(out[k].set, nfds);
    for (nfds_t i = 0; out[k].set && i < n; i++) {
      if ((p[i].events & out[k].asked) && (p[i].revents & out[k].mask)) {
        set_bit(out[k].set, p[i].fd);
        bits++;
      }
    }
  }
  return bits;
}

static bool any_pending(int nfds, const fd_set *r, const fd_set *w, const fd_set *e) {
  for (int fd = 0; fd < nfds; fd++) {
    if (!fdtab_plain(fd) && (bit(r, fd) || bit(w, fd) || bit(e, fd)))
      return true;
  }
  return false;
}

int wait_select(int nfds, fd_set *r, fd_set *w, fd_set *e, const struct timespec *timeout, const sigset_t *mask,
                struct timespec *left) {
  struct pollfd few[ON_STACK], *p = few;
  struct wait_clock clock = wait_clock_start(timeout);
  size_t bytes = 0;
  bool invalid = nfds < 0 || nfds > FDTAB_MAX ||
                 (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec > 999999999L));
  invalid = invalid || !there(nfds, r) || !there(nfds, w) || !there(nfds, e);
  if (invalid || wait_idle() || (!any_pending(nfds, r, w, e) && atomic_load(&conn_unsent) == 0)) {
    int rc =
        invalid ? libc_real()->pselect(nfds, r, w, e, timeout, mask) : wait_select_data(nfds, r, w, e, &clock, mask);
    if (left)
      wait_clock_left(&clock, -1, left);
    return rc;
  }
  nfds_t n = gather(nfds, r, w, e, NULL);
  if (n > ON_STACK) {
    bytes = n * sizeof *p;
    void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mem == MAP_FAILED) {
      errno = ENOMEM;
      return -1;
    }
    p = mem;
  }
  gather(nfds, r, w, e, p);
  int rc = wait_counted(p, n, r, w, e, &clock, mask);
  if (rc == 0)
    rc = scatter(p, n, nfds, r, w, e);
  int keep = errno;
  if (bytes)
    munmap(p, bytes);
  errno = keep;
  if (left)
    wait_clock_left(&clock, -1, left);
  return rc;
}
