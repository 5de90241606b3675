/* SPDX-License-Identifier: Apache-2.0 */
/*
 * syscall.c - syscall(): libuv closes with it, and others read and write with it. Numbers that have a hook
 * go there; io_uring does not exist; all others pass through.
 */
#include "../conn_pages.h"
#include "../environ.h"
#include "../fdtab.h"
#include "../libc.h"
#include "../lock.h"
#include "aio_kernel.h"
#include "clone.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NR_IO_URING_FIRST 425 /* setup, enter, register */
#define NR_IO_URING_LAST  427
#define NR_PIDFD_GETFD    438
#define P(type, i)        ((type)a[i])
#define I(i)              ((int)a[i])
#define U(i)              ((unsigned)a[i])
#define Z(i)              ((size_t)a[i])

/* Tables, a line a number. */
/* clang-format off */
static bool dispatch_io(long nr, const long a[6], long *rc) {
  switch (nr) {
  case SYS_read: *rc = read(I(0), P(void *, 1), Z(2)); return true;
  case SYS_readv: *rc = readv(I(0), P(const struct iovec *, 1), I(2)); return true;
  case SYS_write: *rc = write(I(0), P(const void *, 1), Z(2)); return true;
  case SYS_writev: *rc = writev(I(0), P(const struct iovec *, 1), I(2)); return true;
  case SYS_recvfrom: *rc = recvfrom(I(0), P(void *, 1), Z(2), I(3), P(struct sockaddr *, 4), P(socklen_t *, 5)); return true;
  case SYS_sendto: *rc = sendto(I(0), P(const void *, 1), Z(2), I(3), P(const struct sockaddr *, 4), (socklen_t)a[5]); return true;
  case SYS_recvmsg: *rc = recvmsg(I(0), P(struct msghdr *, 1), I(2)); return true;
  case SYS_sendmsg: *rc = sendmsg(I(0), P(const struct msghdr *, 1), I(2)); return true;
  case SYS_recvmmsg: *rc = recvmmsg(I(0), P(struct mmsghdr *, 1), U(2), I(3), P(struct timespec *, 4)); return true;
  case SYS_sendmmsg: *rc = sendmmsg(I(0), P(struct mmsghdr *, 1), U(2), I(3)); return true;
  case SYS_sendfile: *rc = sendfile(I(0), I(1), P(off_t *, 2), Z(3)); return true;
  case SYS_splice: *rc = splice(I(0), P(off64_t *, 1), I(2), P(off64_t *, 3), Z(4), U(5)); return true;
#if __SIZEOF_LONG__ == 8
  case SYS_preadv2: *rc = preadv64v2(I(0), P(const struct iovec *, 1), I(2), (off64_t)a[3], I(5)); return true;
  case SYS_pwritev2: *rc = pwritev64v2(I(0), P(const struct iovec *, 1), I(2), (off64_t)a[3], I(5)); return true;
#endif
  case SYS_unshare: *rc = unshare(I(0)); return true;
  case SYS_chroot: *rc = chroot(P(const char *, 0)); return true;
  default: return false;
  }
}

static bool dispatch_socket(long nr, const long a[6], long *rc) {
  switch (nr) {
  case SYS_socket: *rc = socket(I(0), I(1), I(2)); return true;
  case SYS_bind: *rc = bind(I(0), P(const struct sockaddr *, 1), (socklen_t)a[2]); return true;
  case SYS_listen: *rc = listen(I(0), I(1)); return true;
  case SYS_accept: *rc = accept(I(0), P(struct sockaddr *, 1), P(socklen_t *, 2)); return true;
  case SYS_accept4: *rc = accept4(I(0), P(struct sockaddr *, 1), P(socklen_t *, 2), I(3)); return true;
  case SYS_connect: *rc = connect(I(0), P(const struct sockaddr *, 1), (socklen_t)a[2]); return true;
  case SYS_shutdown: *rc = shutdown(I(0), I(1)); return true;
  case SYS_getsockname: *rc = getsockname(I(0), P(struct sockaddr *, 1), P(socklen_t *, 2)); return true;
  case SYS_getpeername: *rc = getpeername(I(0), P(struct sockaddr *, 1), P(socklen_t *, 2)); return true;
  case SYS_getsockopt: *rc = getsockopt(I(0), I(1), I(2), P(void *, 3), P(socklen_t *, 4)); return true;
  case SYS_setsockopt: *rc = setsockopt(I(0), I(1), I(2), P(const void *, 3), (socklen_t)a[4]); return true;
  case SYS_ioctl: *rc = ioctl(I(0), (unsigned long)a[1], P(void *, 2)); return true;
  default: return false;
  }
}

static bool dispatch_number(long nr, const long a[6], long *rc) {
  switch (nr) {
  case SYS_close: *rc = close(I(0)); return true;
  case SYS_close_range: *rc = close_range(U(0), U(1), I(2)); return true;
  case SYS_dup: *rc = dup(I(0)); return true;
#ifdef SYS_dup2
  case SYS_dup2: *rc = dup2(I(0), I(1)); return true;
#endif
  case SYS_dup3: *rc = dup3(I(0), I(1), I(2)); return true;
  case SYS_fcntl: *rc = fcntl(I(0), I(1), P(void *, 2)); return true;
  case SYS_execve: *rc = execve(P(const char *, 0), P(char *const *, 1), P(char *const *, 2)); return true;
  case SYS_execveat: *rc = execveat(I(0), P(const char *, 1), P(char *const *, 2), P(char *const *, 3), I(4)); return true;
#ifdef SYS_fork
  case SYS_fork: *rc = fork(); return true;
  case SYS_vfork: *rc = fork(); return true;
#endif
  case SYS_exit_group: _exit(I(0));
  case SYS_epoll_ctl: *rc = epoll_ctl(I(0), I(1), I(2), P(struct epoll_event *, 3)); return true;
  case NR_PIDFD_GETFD: *rc = pidfd_getfd(I(0), I(1), U(2)); return true;
#ifdef SYS_epoll_wait
  case SYS_epoll_wait: *rc = epoll_wait(I(0), P(struct epoll_event *, 1), I(2), I(3)); return true;
#endif
  case SYS_epoll_pwait: *rc = epoll_pwait(I(0), P(struct epoll_event *, 1), I(2), I(3), P(const sigset_t *, 4)); return true;
#ifdef SYS_poll
  case SYS_poll: *rc = poll(P(struct pollfd *, 0), (nfds_t)a[1], I(2)); return true;
#endif
  default: return false;
  }
}
/* clang-format on */

static bool changes_memory(long nr) {
#ifdef SYS_mmap
  if (nr == SYS_mmap)
    return true;
#endif
  return nr == SYS_munmap || nr == SYS_mprotect || nr == SYS_pkey_mprotect || nr == SYS_mremap || nr == SYS_shmdt;
}

/* A number that was closed past every hook stands for nothing any more once a call has made another file of it. */
static void made(long nr, const long a[6], long rc) {
  switch (nr) {
#ifdef SYS_open
  case SYS_open:
  case SYS_creat:
  case SYS_eventfd:
  case SYS_inotify_init:
  case SYS_epoll_create:
#endif
  case SYS_openat:
  case SYS_openat2:
  case SYS_eventfd2:
  case SYS_inotify_init1:
  case SYS_epoll_create1:
  case SYS_timerfd_create:
  case SYS_memfd_create:
    if (rc >= 0)
      fdtab_fresh((int)rc);
    return;
#ifdef SYS_pipe
  case SYS_pipe:
#endif
  case SYS_pipe2:
    fdtab_fresh_pair((int)rc, P(const int *, 0));
    return;
  case SYS_socketpair:
    fdtab_fresh_pair((int)rc, P(const int *, 3));
    return;
  case SYS_signalfd4:
    if (I(0) < 0 && rc >= 0) /* else it is that number again */
      fdtab_fresh((int)rc);
    return;
  default:
    return;
  }
}

HOOK long syscall(long nr, ...) {
  long a[6], rc;
  va_list ap;
  va_start(ap, nr);
  for (size_t i = 0; i < sizeof a / sizeof *a; i++)
    a[i] = va_arg(ap, long);
  va_end(ap);
  if (nr == SYS_rt_sigaction)
    atomic_store(&lock_masking, 1);
  if (nr >= NR_IO_URING_FIRST && nr <= NR_IO_URING_LAST) {
    const char *v = environ_get("SVIDWRAP_IO_URING");
    if (!v || strcmp(v, "allow-unsafe") != 0) {
      errno = ENOSYS;
      return -1;
    }
  }
#ifdef SYS_io_submit
  if (nr == SYS_io_submit && aio_kernel_refused(a[1], P(struct iocb *const *, 2))) {
    errno = EOPNOTSUPP;
    return -1;
  }
#endif
  if (dispatch_io(nr, a, &rc) || dispatch_socket(nr, a, &rc) || dispatch_number(nr, a, &rc) ||
      clone_syscall(nr, a, &rc))
    return rc;
  rc = libc_real()->syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
  if (changes_memory(nr))
    pages_changed();
  made(nr, a, rc);
  return rc;
}
