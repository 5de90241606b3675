/* SPDX-License-Identifier: Apache-2.0 */
/*
 * make.c - the makers of descriptors that are no sockets. Nothing of theirs is ever managed, but a number that the
 * program closed past every hook (by an instruction of its own) still stands for the connection that was there: it
 * ends when somebody else gets the number.
 */
#include "../fdtab.h"
#include "../libc.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

static int made(int fd) {
  if (fd >= 0)
    fdtab_fresh(fd);
  return fd;
}

/* open() takes a mode where it may make a file, and only there. */
#define MODE(mode, flags)                                                                                            \
  do {                                                                                                               \
    if (((flags)&O_CREAT) || ((flags)&O_TMPFILE) == O_TMPFILE) {                                                     \
      va_list ap;                                                                                                    \
      va_start(ap, flags);                                                                                           \
      (mode) = va_arg(ap, mode_t);                                                                                   \
      va_end(ap);                                                                                                    \
    }                                                                                                                \
  } while (0)

#define OPENS(name)                                                                                                  \
  HOOK int name(const char *path, int flags, ...) {                                                                  \
    mode_t mode = 0;                                                                                                 \
    MODE(mode, flags);                                                                                               \
    return made(libc_real()->name(path, flags, mode));                                                               \
  }
#define OPENS_AT(name)                                                                                               \
  HOOK int name(int dir, const char *path, int flags, ...) {                                                         \
    mode_t mode = 0;                                                                                                 \
    MODE(mode, flags);                                                                                               \
    return made(libc_real()->name(dir, path, flags, mode));                                                          \
  }
OPENS(open)
OPENS(open64)
OPENS_AT(openat)
OPENS_AT(openat64)

/* Where there are no modes: programs built with _FORTIFY_SOURCE, which libc ends if a mode is missing. */
#define OPENS_2(name)                                                                                                \
  HOOK int name(const char *path, int flags);                                                                        \
  HOOK int name(const char *path, int flags) { return made(libc_real()->name(path, flags)); }
#define OPENS_AT_2(name)                                                                                             \
  HOOK int name(int dir, const char *path, int flags);                                                               \
  HOOK int name(int dir, const char *path, int flags) { return made(libc_real()->name(dir, path, flags)); }
OPENS_2(__open_2)
OPENS_2(__open64_2)
OPENS_AT_2(__openat_2)
OPENS_AT_2(__openat64_2)

HOOK int creat(const char *path, mode_t mode) { return made(libc_real()->creat(path, mode)); }
HOOK int creat64(const char *path, mode_t mode) { return made(libc_real()->creat64(path, mode)); }

HOOK int pipe2(int fds[2], int flags) { return fdtab_fresh_pair(libc_real()->pipe2(fds, flags), fds); }
HOOK int pipe(int fds[2]) { return pipe2(fds, 0); }

HOOK int eventfd(unsigned count, int flags) { return made(libc_real()->eventfd(count, flags)); }
HOOK int timerfd_create(clockid_t clock, int flags) { return made(libc_real()->timerfd_create(clock, flags)); }
HOOK int signalfd(int fd, const sigset_t *mask, int flags) {
  int got = libc_real()->signalfd(fd, mask, flags);
  return fd < 0 ? made(got) : got; /* else it is fd again */
}
HOOK int memfd_create(const char *name, unsigned flags) { return made(libc_real()->memfd_create(name, flags)); }
HOOK int inotify_init(void) { return made(libc_real()->inotify_init()); }
HOOK int inotify_init1(int flags) { return made(libc_real()->inotify_init1(flags)); }
