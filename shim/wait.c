/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wait.c - poll() with pending connects among its descriptors, and what all the waits share.
 *
 * The program's array is never changed but for revents; the kernel is given a copy. No lock is held while
 * waiting; the socks that are watched are pinned.
 */
#include "wait.h"

#include "conn_pages.h"
#include "libc.h"
#include "pending_int.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define ON_STACK 64u

/* -- time -- */

struct wait_clock wait_clock_start(const struct timespec *timeout) {
  struct wait_clock c = {.forever = timeout == NULL};
  if (!timeout)
    return c;
  clock_gettime(CLOCK_MONOTONIC, &c.end);
  if (timeout->tv_sec > (time_t)INT64_MAX - c.end.tv_sec - 1) {
    c.forever = true;
    return c;
  }
  c.end.tv_sec += timeout->tv_sec;
  c.end.tv_nsec += timeout->tv_nsec;
  if (c.end.tv_nsec >= 1000000000L) {
    c.end.tv_nsec -= 1000000000L;
    c.end.tv_sec++;
  }
  return c;
}

bool wait_clock_left(const struct wait_clock *c, int slice_ms, struct timespec *left) {
  const struct timespec slice = {.tv_sec = slice_ms / 1000, .tv_nsec = (slice_ms % 1000) * 1000000L};
  if (c->forever) {
    *left = slice;
    return false;
  }
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  left->tv_sec = c->end.tv_sec - now.tv_sec;
  left->tv_nsec = c->end.tv_nsec - now.tv_nsec;
  if (left->tv_nsec < 0) {
    left->tv_nsec += 1000000000L;
    left->tv_sec--;
  }
  if (left->tv_sec < 0)
    *left = (struct timespec){0};
  if (slice_ms < 0 || left->tv_sec < slice.tv_sec || (left->tv_sec == slice.tv_sec && left->tv_nsec <= slice.tv_nsec))
    return true;
  *left = slice;
  return false;
}

/* -- sealed bytes that the kernel has not taken -- */

static void flush_one(int fd, struct sock *s, void *arg) {
  (void)arg;
  if (atomic_load(&s->kind) == SOCK_CONN)
    conn_flush(&s->conn, fd);
}

void wait_flush(void) {
  int keep = errno;
  if (atomic_load(&conn_unsent) != 0)
    fdtab_each(flush_one, NULL);
  errno = keep;
}

/* -- poll -- */

struct watch {
  nfds_t i;
  struct sock *sock;
  struct pending *p;
};

struct poll_set {
  struct pollfd *program, *kernel;
  struct watch *watch;
  nfds_t n, watches;
  bool blind; /* a pending connect has no reply socket yet: look again soon */
};

static void drop(struct watch *w) {
  if (!w->sock)
    return;
  pending_unpin(w->p);
  sock_put(w->sock);
  w->sock = NULL;
}

static void watch_reply(struct poll_set *set, const struct watch *w) {
  int reply = pending_reply(w->p);
  set->kernel[w->i] = (struct pollfd){.fd = reply, .events = POLLIN};
  set->blind |= reply < 0;
}

/* Entry i is a pending connect: the reply socket is watched in its place. */
static void substitute(struct poll_set *set, nfds_t i, struct sock *s) {
  struct pending *p = pending_settle(s, set->program[i].fd) == SOCK_PENDING ? pending_pin(s) : NULL;
  if (!p) {
    sock_put(s);
    return;
  }
  struct watch *w = &set->watch[set->watches++];
  *w = (struct watch){.i = i, .sock = s, .p = p};
  watch_reply(set, w);
}

static void prepare(struct poll_set *set) {
  for (nfds_t i = 0; i < set->n; i++) {
    set->kernel[i] = set->program[i];
    set->kernel[i].revents = 0;
    if (set->program[i].fd < 0 || fdtab_plain(set->program[i].fd))
      continue;
    struct sock *s = fdtab_get(set->program[i].fd);
    if (s)
      substitute(set, i, s);
  }
}

/* After a wait: those whose answer is there are asked themselves. True: one of them changed. */
static bool resolve(struct poll_set *set) {
  bool changed = false;
  set->blind = false;
  for (nfds_t k = 0; k < set->watches; k++) {
    struct watch *w = &set->watch[k];
    if (!w->sock)
      continue;
    if (pending_settle(w->sock, set->program[w->i].fd) == SOCK_PENDING && !w->p->closed) {
      watch_reply(set, w);
      continue;
    }
    struct pollfd *k_fd = &set->kernel[w->i];
    *k_fd = set->program[w->i];
    k_fd->revents = 0;
    libc_real()->poll(k_fd, 1, 0);
    drop(w);
    changed = true;
  }
  return changed;
}

static int count_ready(const struct poll_set *set) {
  int ready = 0;
  for (nfds_t i = 0; i < set->n; i++)
    ready += set->kernel[i].revents != 0;
  return ready;
}

static int wait_set(struct poll_set *set, const struct timespec *timeout, const sigset_t *mask) {
  struct wait_clock clock = wait_clock_start(timeout);
  for (;;) {
    struct timespec left;
    bool slices = set->blind || atomic_load(&conn_unsent) != 0;
    bool last = wait_clock_left(&clock, slices ? WAIT_SLICE_MS : -1, &left);
    int rc = libc_real()->ppoll(set->kernel, set->n, clock.forever && !slices ? NULL : &left, mask);
    if (rc < 0)
      return -1;
    resolve(set);
    wait_flush();
    if (conn_any)
      wait_pieces(set->kernel, set->n);
    int ready = count_ready(set);
    if (ready > 0 || (last && rc == 0))
      return ready;
  }
}

static void publish(struct poll_set *set) {
  for (nfds_t i = 0; i < set->n; i++)
    set->program[i].revents = set->kernel[i].revents;
}

int wait_poll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask) {
  struct pollfd few[ON_STACK];
  struct watch few_watches[ON_STACK];
  struct poll_set set = {.program = fds, .kernel = few, .watch = few_watches, .n = n};
  size_t bytes = 0;
  int keep = errno;
  if (n > FDTAB_MAX || pages_writable(fds, n * sizeof *fds) != n * sizeof *fds ||
      (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec > 999999999L)))
    return libc_real()->ppoll(fds, n, timeout, mask); /* the kernel says what is wrong with it */
  if (n > ON_STACK) {
    bytes = n * (sizeof *set.kernel + sizeof *set.watch);
    void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mem == MAP_FAILED) {
      errno = ENOMEM;
      return -1;
    }
    set.watch = mem;
    set.kernel = (struct pollfd *)(void *)(set.watch + n);
  }
  prepare(&set);
  int rc = wait_set(&set, timeout, mask), failed = errno;
  for (nfds_t k = 0; k < set.watches; k++)
    drop(&set.watch[k]);
  if (rc >= 0)
    publish(&set);
  if (bytes)
    munmap(set.watch, bytes);
  errno = rc >= 0 ? keep : failed;
  return rc;
}
