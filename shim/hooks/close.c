/* SPDX-License-Identifier: Apache-2.0 */
/*
 * close.c - where descriptors end or multiply: close, close_range, closefrom, dup, fcntl.
 *
 * The shim's own hidden descriptors are out of reach: to the program their numbers are free. It can even
 * dup2() onto one; ours then moves away first.
 */
#include "close.h"

#include "../divided.h"
#include "../fdtab.h"
#include "../libc.h"
#include "../listener.h"
#include "../relay.h"
#include "../session.h"
#include "../shared.h"
#include "../stream.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <unistd.h>

/* What has to happen once the number is closed: the daemon learns of a listener's end before close()
 * returns, so that the port is free. */
static void after_close(struct sock *s) {
  if (!s)
    return;
  if (atomic_load(&s->kind) == SOCK_LISTENER && atomic_load(&s->fds) == 0)
    listener_closed(s->listener);
  sock_put(s);
}

/* Functions of their own, so that the hooks, which most calls go through in vain, save no registers for them. */
static int close_known(int fd) __attribute__((noinline));
static int duplicated_known(int oldfd, int newfd) __attribute__((noinline));

static int close_known(int fd) {
  if (fdtab_is_hidden(fd)) {
    errno = EBADF;
    return -1;
  }
  pthread_testcancel(); /* here or not at all */
  LOCK_NO_CANCEL;
  int keep = errno;
  struct sock *s = fdtab_get(fd);
  bool ours = fdtab_leave(fd, false);
  errno = keep;
  if (!ours && fdtab_is_hidden(fd)) { /* another thread was faster */
    if (s)
      sock_put(s);
    errno = EBADF;
    return -1;
  }
  int rc = ours ? fdtab_gone(fd) : libc_real()->close(fd), failed = errno;
  after_close(s);
  errno = failed;
  return rc;
}

int close_fd(int fd) { return fdtab_unknown(fd) ? libc_real()->close(fd) : close_known(fd); }

HOOK int close(int fd) { return close_fd(fd); }
HOOK int __close(int fd) { return close_fd(fd); }

/* Closes what is ours one by one, then lets the kernel close the rest around our hidden numbers. */
HOOK int close_range(unsigned first, unsigned last, int flags) {
  if ((flags & (int)CLOSE_RANGE_UNSHARE) && divided_refused("close_range(CLOSE_RANGE_UNSHARE) in a thread"))
    return -1;
  if ((flags & (int)CLOSE_RANGE_CLOEXEC) || first > last || first >= FDTAB_MAX || !libc_real()->close_range)
    return libc_real()->close_range ? libc_real()->close_range(first, last, flags) : (errno = ENOSYS, -1);
  for (int fd = fdtab_next_known((int)first); fd >= 0 && (unsigned)fd <= last; fd = fdtab_next_known(fd + 1))
    close_fd(fd);
  unsigned from = first;
  for (int hidden = fdtab_next_hidden((int)first); hidden >= 0 && (unsigned)hidden <= last;
       hidden = fdtab_next_hidden(hidden + 1)) {
    if ((unsigned)hidden > from && libc_real()->close_range(from, (unsigned)hidden - 1, flags) != 0)
      return -1;
    from = (unsigned)hidden + 1;
  }
  return from <= last ? libc_real()->close_range(from, last, flags) : 0;
}

HOOK void closefrom(int low) { close_range(low < 0 ? 0 : (unsigned)low, ~0u, 0); }

/* May a protected connection have this number? Where the C library has a stream it reads and writes inside, past
 * every hook: there the relay takes over first. And not where the table ends: nobody would know it there. 1: yes, as
 * it is; 0: yes, it is a plain descriptor now; -1 and errno. */
static int may_be(int oldfd, int newfd, bool streamed) {
  char what[32];
  if (!streamed && newfd < FDTAB_MAX)
    return 1;
  if (newfd >= FDTAB_MAX) {
    errno = EMFILE;
    return -1;
  }
  snprintf(what, sizeof what, "descriptor %d", newfd);
  if (relay_convert(oldfd, what) == 0)
    return 0;
  errno = EPERM;
  return -1;
}

static int duplicated_known(int oldfd, int newfd) {
  /* The kernel has put the TCP socket there already. Where stdio writes it must not stay, not even while the daemon
   * is asked. */
  bool protected = relay_needed(oldfd), streamed = protected && stream_is_on(newfd);
  int cloexec = streamed ? libc_real()->fcntl(newfd, F_GETFD) & FD_CLOEXEC : 0;
  int may = 1;
  if (protected)
    may = !streamed || fdtab_cover(newfd) ? may_be(oldfd, newfd, streamed) : (errno = EPERM, -1);
  if (may > 0) {
    fdtab_dup(oldfd, newfd);
    return newfd;
  }
  int failed = errno;
  if (may == 0) {
    fdtab_fresh(newfd);
    return libc_real()->dup3(oldfd, newfd, cloexec ? O_CLOEXEC : 0);
  }
  libc_real()->close(newfd);
  errno = failed;
  return -1;
}

static int duplicated(int oldfd, int newfd) {
  if (newfd < 0 || newfd == oldfd)
    return newfd;
  if (!fdtab_unknown(oldfd))
    return duplicated_known(oldfd, newfd);
  fdtab_fresh(newfd);
  return newfd;
}

HOOK int dup(int fd) {
  if (fdtab_is_hidden(fd)) {
    errno = EBADF;
    return -1;
  }
  return duplicated(fd, libc_real()->dup(fd));
}

static int dup_onto(int oldfd, int newfd, int flags, bool two) {
  if (fdtab_unknown(oldfd) && fdtab_unknown(newfd))
    return two ? libc_real()->dup2(oldfd, newfd) : libc_real()->dup3(oldfd, newfd, flags);
  if (fdtab_is_hidden(oldfd) || libc_real()->fcntl(oldfd, F_GETFD) < 0) {
    errno = EBADF;
    return -1;
  }
  if (oldfd == newfd || (flags & ~O_CLOEXEC))
    return two ? newfd : libc_real()->dup3(oldfd, newfd, flags);
  bool protected = relay_needed(oldfd);
  if (protected && newfd >= 0) {
    int may = may_be(oldfd, newfd, stream_is_on(newfd));
    if (may < 0)
      return -1;
    protected = may > 0;
  }
  int room = fdtab_make_room(newfd);
  if (room < 0) {
    errno = -room;
    return -1;
  }
  int keep = errno;
  struct sock *gone = fdtab_get(newfd);
  bool left = fdtab_leave(newfd, protected);
  errno = keep;
  int rc = two ? libc_real()->dup2(oldfd, newfd) : libc_real()->dup3(oldfd, newfd, flags), failed = errno;
  if (rc >= 0)
    duplicated(oldfd, rc);
  else if (room > 0)
    libc_real()->close(newfd);
  else if (left && gone)
    fdtab_gone(newfd); /* its connection has ended: not even a failed call gives it back in clear */
  if (left && (rc >= 0 || !gone))
    fdtab_stays(newfd);
  after_close(gone);
  errno = failed;
  return rc;
}

HOOK int dup2(int oldfd, int newfd) { return dup_onto(oldfd, newfd, 0, true); }
HOOK int dup3(int oldfd, int newfd, int flags) { return dup_onto(oldfd, newfd, flags, false); }

/* A descriptor of another process, or a second one of our own, past the table: a protected connection would be in
 * clear there. */
HOOK int pidfd_getfd(int pidfd, int fd, unsigned flags);
HOOK int pidfd_getfd(int pidfd, int fd, unsigned flags) {
  int got = (int)libc_real()->syscall(438L, (long)pidfd, (long)fd, (long)flags);
  if (got >= 0) {
    fdtab_fresh(got);
    if (!shared_received(got, "a descriptor that was taken out of another process"))
      listener_found(got);
  }
  return got;
}

static int fcntl_any(int (*real)(int, int, ...), int fd, int cmd, void *arg) {
  if (fdtab_is_hidden(fd)) {
    errno = EBADF;
    return -1;
  }
  int rc = real(fd, cmd, arg);
  return cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC ? duplicated(fd, rc) : rc;
}

HOOK int fcntl(int fd, int cmd, ...) {
  va_list ap;
  va_start(ap, cmd);
  void *arg = va_arg(ap, void *);
  va_end(ap);
  return fcntl_any(libc_real()->fcntl, fd, cmd, arg);
}

HOOK int fcntl64(int fd, int cmd, ...) {
  va_list ap;
  va_start(ap, cmd);
  void *arg = va_arg(ap, void *);
  va_end(ap);
  return fcntl_any(libc_real()->fcntl64, fd, cmd, arg);
}
