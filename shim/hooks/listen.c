/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listen.c - socket, bind, listen, accept: where descriptors begin. Thin: the listener module knows.
 */
#include "../fdtab.h"
#include "../libc.h"
#include "../listener.h"
#include "../shared.h"

#include <errno.h>

HOOK int socket(int domain, int type, int protocol) {
  int fd = libc_real()->socket(domain, type, protocol);
  if (fd >= 0) {
    fdtab_fresh(fd);
    if ((domain == AF_INET || domain == AF_INET6) && (type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) == SOCK_STREAM &&
        fd < FDTAB_MAX)
      fdtab_mark(fd, FDF_TCP);
  }
  return fd;
}

HOOK int socketpair(int domain, int type, int protocol, int fds[2]) {
  return fdtab_fresh_pair(libc_real()->socketpair(domain, type, protocol, fds), fds);
}

HOOK int bind(int fd, const struct sockaddr *sa, socklen_t len) {
  int keep = errno;
  int rc = libc_real()->bind(fd, sa, len);
  if (rc == 0 || errno != EADDRINUSE || !sa || (sa->sa_family != AF_INET && sa->sa_family != AF_INET6) ||
      !listener_sync(sa, len))
    return rc;
  rc = libc_real()->bind(fd, sa, len);
  if (rc == 0)
    errno = keep;
  return rc;
}

HOOK int listen(int fd, int backlog) {
  int keep = errno;
  if (fdtab_is_hidden(fd)) {
    errno = EBADF;
    return -1;
  }
  int rc = listener_listen(fd, backlog);
  if (rc == 0)
    errno = keep;
  return rc;
}

static int accept_any(int fd, struct sockaddr *sa, socklen_t *len, int flags) {
  if (!fdtab_plain(fd) && shared_is(fd))
    shared_release(fd); /* another process called listen() */
  struct sock *s = fdtab_get(fd);
  if (!s) {
    if (fdtab_is_hidden(fd)) { /* the TCP listener behind a stand-in is not for the program */
      errno = EBADF;
      return -1;
    }
    int touched = listener_touch(fd);
    if (touched < 0)
      return -1;
    if (touched == 0) {
      int n = libc_real()->accept4(fd, sa, len, flags);
      if (n >= 0)
        fdtab_fresh(n);
      return n;
    }
    s = fdtab_get(fd);
  }
  if (!s) {
    errno = EBADF;
    return -1;
  }
  int n = atomic_load(&s->kind) == SOCK_LISTENER ? listener_accept(s, fd, sa, len, flags)
                                                 : libc_real()->accept4(fd, sa, len, flags);
  sock_put(s);
  return n;
}

HOOK int accept4(int fd, struct sockaddr *restrict sa, socklen_t *restrict len, int flags) {
  return accept_any(fd, sa, len, flags);
}

HOOK int accept(int fd, struct sockaddr *restrict sa, socklen_t *restrict len) { return accept_any(fd, sa, len, 0); }
