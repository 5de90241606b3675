/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uring.c - the entry points of liburing, for where the seccomp filter could not be installed: a ring's
 * operations pass every hook and would leave in plaintext, so there is no ring.
 */
#include "../libc.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "../environ.h"

static bool allowed(void) {
  const char *v = environ_get("SVIDWRAP_IO_URING");
  return v && strcmp(v, "allow-unsafe") == 0;
}

struct io_uring;
struct io_uring_params;

#include <dlfcn.h>
#define REAL(type, name) ((type)dlsym(RTLD_NEXT, name))

HOOK int io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags);
HOOK int io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags) {
  typedef int (*fn)(unsigned, struct io_uring *, unsigned);
  fn real = allowed() ? REAL(fn, "io_uring_queue_init") : NULL;
  return real ? real(entries, ring, flags) : -ENOSYS;
}

HOOK int io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *p);
HOOK int io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *p) {
  typedef int (*fn)(unsigned, struct io_uring *, struct io_uring_params *);
  fn real = allowed() ? REAL(fn, "io_uring_queue_init_params") : NULL;
  return real ? real(entries, ring, p) : -ENOSYS;
}

HOOK int io_uring_queue_init_mem(unsigned entries, struct io_uring *ring, struct io_uring_params *p, void *buf,
                                 size_t size);
HOOK int io_uring_queue_init_mem(unsigned entries, struct io_uring *ring, struct io_uring_params *p, void *buf,
                                 size_t size) {
  typedef int (*fn)(unsigned, struct io_uring *, struct io_uring_params *, void *, size_t);
  fn real = allowed() ? REAL(fn, "io_uring_queue_init_mem") : NULL;
  return real ? real(entries, ring, p, buf, size) : -ENOSYS;
}

HOOK int io_uring_setup(unsigned entries, struct io_uring_params *p);
HOOK int io_uring_setup(unsigned entries, struct io_uring_params *p) {
  typedef int (*fn)(unsigned, struct io_uring_params *);
  fn real = allowed() ? REAL(fn, "io_uring_setup") : NULL;
  return real ? real(entries, p) : -ENOSYS;
}

HOOK int io_uring_enter(unsigned fd, unsigned submit, unsigned complete, unsigned flags, sigset_t *mask);
HOOK int io_uring_enter(unsigned fd, unsigned submit, unsigned complete, unsigned flags, sigset_t *mask) {
  typedef int (*fn)(unsigned, unsigned, unsigned, unsigned, sigset_t *);
  fn real = allowed() ? REAL(fn, "io_uring_enter") : NULL;
  return real ? real(fd, submit, complete, flags, mask) : -ENOSYS;
}

HOOK int io_uring_register(unsigned fd, unsigned what, const void *arg, unsigned n);
HOOK int io_uring_register(unsigned fd, unsigned what, const void *arg, unsigned n) {
  typedef int (*fn)(unsigned, unsigned, const void *, unsigned);
  fn real = allowed() ? REAL(fn, "io_uring_register") : NULL;
  return real ? real(fd, what, arg, n) : -ENOSYS;
}
