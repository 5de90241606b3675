/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.c - read, write, recv, send and their kin. On a number that is not ours they leave at once: no lock,
 * no system call, no allocation.
 */
#include "io.h"

#include "../conn_int.h"
#include "../conn_pages.h"
#include "../listener.h"
#include "../pending.h"
#include "../relay.h"
#include "../shared.h"

#include <limits.h>
#include <stddef.h>

void __chk_fail(void) __attribute__((noreturn));

static struct sock *sock_of(struct conn *c) {
  return (struct sock *)(void *)((char *)c - offsetof(struct sock, conn));
}

void conn_unpin(struct conn *c) { sock_put(sock_of(c)); }

int conn_number(struct conn *c, int fd) {
  const uintptr_t e = (uintptr_t)sock_of(c);
  if ((unsigned)fd < FDTAB_MAX && atomic_load(&fdtab_entry[fd]) == e)
    return fd;
  for (int n = fdtab_next_known(0); n >= 0; n = fdtab_next_known(n + 1)) {
    if (atomic_load(&fdtab_entry[n]) == e)
      return n;
  }
  return fdtab_is_hidden(fd) ? fd : -1; /* hidden: the last one, and just being closed; nobody else has it before */
}

int io_route(int fd, bool write, int flags, struct sock **out, int *real_fd, bool *eof) {
  pthread_testcancel(); /* with nothing pinned; one that does not block would never get to another */
  struct sock *s = *out = fdtab_get(fd);
  *real_fd = fd;
  *eof = false;
  if (!s) {
    if (!fdtab_is_hidden(fd))
      return 0;
    errno = EBADF;
    return -1;
  }
  for (;;) {
    uint32_t kind = atomic_load(&s->kind);
    if (kind == SOCK_PENDING)
      kind = (uint32_t)pending_settle(s, fd);
    if (kind == SOCK_CONN && !conn_moved(&s->conn))
      return 1;
    if (kind == SOCK_CONN && relay_follow(s, fd)) { /* the pair's end by now: no longer ours */
      sock_put(s);
      *out = NULL;
      return 0;
    }
    if (kind == SOCK_PLAIN)
      return 0;
    if (kind == SOCK_SHARED) {
      int rc = shared_io(s, fd, write, flags);
      if (rc == 0)
        return 0;
      *eof = rc > 0;
      sock_put(s);
      return -1;
    }
    if (kind == SOCK_LISTENER) {
      *real_fd = s->listener->real; /* says ENOTCONN and EPIPE as TCP does, being TCP */
      return 0;
    }
    if (kind != SOCK_PENDING && kind != SOCK_FAILED)
      break;
    ssize_t n = pending_io(s, fd, write, flags);
    if (n == 0 && (atomic_load(&s->kind) == SOCK_CONN || atomic_load(&s->kind) == SOCK_PLAIN))
      continue;
    *eof = n == 0;
    sock_put(s);
    return -1;
  }
  sock_put(s);
  errno = EBADF;
  return -1;
}

bool io_there(const void *p, size_t n) {
  if (pages_readable(p, n) == n)
    return true;
  errno = EFAULT;
  return false;
}

/* Where the kernel writes an address of no bytes: what TCP has to tell of where a message came from. */
static ssize_t no_address(ssize_t got, socklen_t *len) {
  if (pages_writable(len, sizeof *len) != sizeof *len || !len) {
    errno = EFAULT;
    return -1;
  }
  if ((int)*len < 0) {
    errno = EINVAL;
    return -1;
  }
  *len = 0;
  return got;
}

/* Another process moved the connection to the relay during the call, which did nothing. */
static bool overtaken(const struct sock *s, ssize_t n) {
  return n < 0 && errno == EBADF && s && atomic_load(&s->kind) == SOCK_CONN && conn_moved(&s->conn);
}

ssize_t io_recv(int fd, const struct iovec *iov, size_t cnt, int flags) {
  struct sock *s;
  int real_fd;
  bool eof;
  ssize_t n;
  int route = io_route(fd, false, flags, &s, &real_fd, &eof);
  if (route < 0)
    return eof ? 0 : -1;
  if (route == 0 || (flags & MSG_ERRQUEUE)) {
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = cnt};
    n = libc_real()->recvmsg(real_fd, &m, flags);
  } else {
    n = conn_readv(&s->conn, fd, iov, (int)cnt, flags);
  }
  bool again = overtaken(s, n);
  if (s)
    sock_put(s);
  return again ? io_recv(fd, iov, cnt, flags) : n;
}

ssize_t io_send(int fd, const struct iovec *iov, size_t cnt, int flags) {
  struct sock *s;
  int real_fd;
  bool eof;
  ssize_t n;
  int route = io_route(fd, true, flags, &s, &real_fd, &eof);
  if (route < 0)
    return eof ? 0 : -1;
  if (route == 0) {
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = cnt};
    n = libc_real()->sendmsg(real_fd, &m, flags);
  } else if (flags & MSG_FASTOPEN) {
    errno = EISCONN;
    n = -1;
  } else {
    n = conn_writev(&s->conn, fd, iov, (int)cnt, flags);
  }
  bool again = overtaken(s, n);
  if (s)
    sock_put(s);
  return again ? io_send(fd, iov, cnt, flags) : n;
}

/* readv() and writev() of nothing answer 0 whatever the socket's state; a bad count is refused first.
 * 1: go on. */
static int vector(const struct iovec *iov, int cnt) {
  if (cnt < 0 || cnt > IOV_MAX) {
    errno = EINVAL;
    return -1;
  }
  if (!io_there(iov, (size_t)cnt * sizeof *iov))
    return -1;
  for (int i = 0; i < cnt; i++)
    if (iov[i].iov_len != 0)
      return 1;
  return 0;
}

/* What every hook asks first. Where it holds the hook ends in a jump, without a stack frame; all else is kept
 * out of it (SLOW), the first call of the process included. */
#define PLAIN(fd) (__builtin_expect(fdtab_plain(fd) && __atomic_load_n(&libc_loaded, __ATOMIC_ACQUIRE), 1))
#define SLOW      static __attribute__((noinline))

#define RW_MOST 0x7ffff000 /* MAX_RW_COUNT: the kernel takes a longer length for this one */

/* read() and write() look first whether all of it can be the program's memory. */
static ssize_t beyond(int fd) {
  errno = fdtab_is_hidden(fd) ? EBADF : EFAULT;
  return -1;
}

SLOW ssize_t slow_read(int fd, void *buf, size_t n) {
  struct iovec iov = {buf, n};
  if (fdtab_plain(fd))
    return libc_real()->read(fd, buf, n);
  if (n == 0 && !fdtab_is_hidden(fd))
    return 0;
  if (n > SSIZE_MAX)
    return beyond(fd);
  return io_recv(fd, &iov, 1, 0);
}

SLOW ssize_t slow_recv(int fd, void *buf, size_t n, int flags) {
  struct iovec iov = {buf, n < RW_MOST ? n : RW_MOST};
  return fdtab_plain(fd) ? libc_real()->recv(fd, buf, n, flags) : io_recv(fd, &iov, 1, flags);
}

SLOW ssize_t slow_write(int fd, const void *buf, size_t n) {
  struct iovec iov = {(void *)(uintptr_t)buf, n};
  if (fdtab_plain(fd))
    return libc_real()->write(fd, buf, n);
  return n > SSIZE_MAX ? beyond(fd) : io_send(fd, &iov, 1, 0);
}

SLOW ssize_t slow_send(int fd, const void *buf, size_t n, int flags) {
  struct iovec iov = {(void *)(uintptr_t)buf, n < RW_MOST ? n : RW_MOST};
  return fdtab_plain(fd) ? libc_real()->send(fd, buf, n, flags) : io_send(fd, &iov, 1, flags);
}

SLOW ssize_t slow_readv(int fd, const struct iovec *iov, int cnt) {
  if (fdtab_plain(fd))
    return libc_real()->readv(fd, iov, cnt);
  int go = vector(iov, cnt);
  return go <= 0 ? go : io_recv(fd, iov, (size_t)cnt, 0);
}

SLOW ssize_t slow_writev(int fd, const struct iovec *iov, int cnt) {
  if (fdtab_plain(fd))
    return libc_real()->writev(fd, iov, cnt);
  int go = vector(iov, cnt);
  return go <= 0 ? go : io_send(fd, iov, (size_t)cnt, 0);
}

SLOW ssize_t slow_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *sa, socklen_t *len) {
  if (fdtab_plain(fd))
    return libc_real()->recvfrom(fd, buf, n, flags, sa, len);
  ssize_t got = slow_recv(fd, buf, n, flags);
  return got >= 0 && sa ? no_address(got, len) : got;
}

SLOW ssize_t slow_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *sa, socklen_t len) {
  if (sa && (flags & MSG_FASTOPEN)) {
    int rc = pending_fastopen(fd, sa, len);
    if (rc < 0)
      return -1;
    if (rc > 0)
      return send(fd, buf, n, flags & ~MSG_FASTOPEN);
  }
  if (fdtab_plain(fd))
    return libc_real()->sendto(fd, buf, n, flags, sa, len);
  if (sa && len > sizeof(struct sockaddr_storage)) {
    errno = EINVAL;
    return -1;
  }
  if (sa && !io_there(sa, len))
    return -1;
  return slow_send(fd, buf, n, flags); /* TCP does not look at an address once it is connected */
}

HOOK ssize_t read(int fd, void *buf, size_t n) {
  return PLAIN(fd) ? libc_table.read(fd, buf, n) : slow_read(fd, buf, n);
}

HOOK ssize_t __read_chk(int fd, void *buf, size_t n, size_t size) {
  if (n > size)
    __chk_fail();
  return read(fd, buf, n);
}

HOOK ssize_t readv(int fd, const struct iovec *iov, int cnt) {
  return PLAIN(fd) ? libc_table.readv(fd, iov, cnt) : slow_readv(fd, iov, cnt);
}

HOOK ssize_t recv(int fd, void *buf, size_t n, int flags) {
  return PLAIN(fd) ? libc_table.recv(fd, buf, n, flags) : slow_recv(fd, buf, n, flags);
}

HOOK ssize_t __recv_chk(int fd, void *buf, size_t n, size_t size, int flags) {
  if (n > size)
    __chk_fail();
  return recv(fd, buf, n, flags);
}

HOOK ssize_t recvfrom(int fd, void *restrict buf, size_t n, int flags, struct sockaddr *restrict sa,
                      socklen_t *restrict len) {
  return PLAIN(fd) ? libc_table.recvfrom(fd, buf, n, flags, sa, len) : slow_recvfrom(fd, buf, n, flags, sa, len);
}

HOOK ssize_t __recvfrom_chk(int fd, void *restrict buf, size_t n, size_t size, int flags,
                            struct sockaddr *restrict sa, socklen_t *restrict len) {
  if (n > size)
    __chk_fail();
  return recvfrom(fd, buf, n, flags, sa, len);
}

HOOK ssize_t write(int fd, const void *buf, size_t n) {
  return PLAIN(fd) ? libc_table.write(fd, buf, n) : slow_write(fd, buf, n);
}

HOOK ssize_t writev(int fd, const struct iovec *iov, int cnt) {
  return PLAIN(fd) ? libc_table.writev(fd, iov, cnt) : slow_writev(fd, iov, cnt);
}

HOOK ssize_t send(int fd, const void *buf, size_t n, int flags) {
  return PLAIN(fd) ? libc_table.send(fd, buf, n, flags) : slow_send(fd, buf, n, flags);
}

HOOK ssize_t sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *sa, socklen_t len) {
  return PLAIN(fd) && !(flags & MSG_FASTOPEN) ? libc_table.sendto(fd, buf, n, flags, sa, len)
                                              : slow_sendto(fd, buf, n, flags, sa, len);
}

/* Names under which glibc exports the same functions. */
HOOK ssize_t __read(int fd, void *buf, size_t n) { return read(fd, buf, n); }
HOOK ssize_t __write(int fd, const void *buf, size_t n) { return write(fd, buf, n); }
HOOK ssize_t __send(int fd, const void *buf, size_t n, int flags) { return send(fd, buf, n, flags); }
