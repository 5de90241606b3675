/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn_wait.c - blocking as the kernel would for this descriptor, and the system calls made under a lock.
 *
 * O_NONBLOCK, MSG_DONTWAIT, SO_RCVTIMEO, SO_SNDTIMEO, EINTR and SA_RESTART are the program's affair: a wait
 * to read is a one-byte MSG_PEEK, so that the kernel itself decides. Nothing can be sent just to wait for
 * room, so there the rules are followed with poll(). No lock is held in either.
 *
 * The calls under a lock go through syscall(): it is no cancellation point, a thread must not be unwound
 * there.
 */
#include "conn_int.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>

long conn_sys_recv(int fd, void *buf, size_t len, int flags) {
  return conn_sys(libc_real()->syscall(SYS_recvfrom, fd, buf, len, flags | MSG_DONTWAIT, NULL, NULL));
}

long conn_sys_recvv(int fd, struct iovec *iov, size_t cnt, int flags) {
  struct msghdr m = {.msg_iov = iov, .msg_iovlen = cnt};
  return conn_sys(libc_real()->syscall(SYS_recvmsg, fd, &m, flags | MSG_DONTWAIT));
}

long conn_sys_send(int fd, const void *buf, size_t len, int flags) {
  return conn_sys(libc_real()->syscall(SYS_sendto, fd, buf, len, flags | MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0));
}

int conn_sys_poll(int fd, short events, int timeout_ms) {
  struct pollfd p = {.fd = fd, .events = events};
  struct timespec t = {timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000};
  long n = libc_real()->syscall(SYS_ppoll, &p, 1, &t, NULL, 0);
  return n > 0 ? p.revents : 0;
}

uint64_t conn_now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* SO_RCVTIMEO or SO_SNDTIMEO in milliseconds, rounded up; -1: for ever. */
static int64_t timeout_of(int fd, int option) {
  struct timeval t = {0};
  socklen_t len = sizeof t;
  if (libc_real()->getsockopt(fd, SOL_SOCKET, option, &t, &len) != 0 || (t.tv_sec == 0 && t.tv_usec == 0))
    return -1;
  return (int64_t)t.tv_sec * 1000 + (t.tv_usec + 999) / 1000;
}

/* poll() answers EINTR whatever the handler's flags are; recv() and send() without a timeout go on behind
 * an SA_RESTART handler. Which handler ran cannot be told afterwards: the call is restarted when every
 * handler that this thread can run asks for it, and a program that has one without hears EINTR. */
static bool handlers_restart(const sigset_t *mask) {
  sigset_t blocked;
  pthread_sigmask(SIG_BLOCK, NULL, &blocked);
  if (mask)
    blocked = *mask;
  for (int sig = 1; sig < NSIG; sig++) {
    struct sigaction a;
    if (sig == SIGSEGV || sig == SIGBUS || sig == SIGILL || sig == SIGFPE || sig == SIGTRAP || sig == SIGSYS)
      continue; /* faults: runtimes handle them, but none happens in poll() */
    if (sigismember(&blocked, sig) == 1 || sigaction(sig, NULL, &a) != 0)
      continue;
    if (!(a.sa_flags & SA_SIGINFO) && (a.sa_handler == SIG_DFL || a.sa_handler == SIG_IGN))
      continue;
    if (!(a.sa_flags & SA_RESTART))
      return false;
  }
  return true;
}

/* Waits for events until the call's own timeout is over. With one set, the kernel answers EINTR whatever
 * the handler says (signal(7)). mask: the thread's, where signals are still blocked; NULL: they are not. */
static int poll_until(int fd, short events, int64_t timeout, struct conn_wait *w, const sigset_t *mask) {
  if (!w->begun) {
    w->begun = true;
    w->since_ms = conn_now_ms();
  }
  for (;;) {
    int64_t left = -1;
    if (timeout >= 0) {
      left = (int64_t)(w->since_ms + (uint64_t)timeout - conn_now_ms());
      if (left <= 0)
        return -EAGAIN;
    }
    struct pollfd p = {.fd = fd, .events = events};
    struct timespec t = {left / 1000, left % 1000 * 1000000};
    int n = libc_real()->ppoll(&p, 1, left < 0 ? NULL : &t, mask);
    if (n > 0)
      return 0;
    if (n < 0 && errno != EINTR)
      return -errno;
    if (n < 0 && (timeout >= 0 || w->some || !handlers_restart(mask)))
      return -EINTR;
  }
}

/* Where the program's call blocks it may be cancelled, as natively. It has left the connection then. */
static void cancelled(void *arg) {
  struct conn_op *op = arg;
  conn_unmask(op);
  if (conn_unpin)
    conn_unpin(op->c);
}

static int wait_by_poll(struct conn_op *op, short events, int64_t timeout, struct conn_wait *w) {
  int rc;
  sigset_t mask;
  bool blocked = op->masked && lock_signals_blocked(&op->signals);
  if (blocked) { /* the kernel's set begins libc's */
    sigemptyset(&mask);
    memcpy(&mask, &op->signals, sizeof op->signals);
  }
  pthread_cleanup_push(cancelled, op);
  conn_leave(op->c);
  rc = poll_until(op->fd, events, timeout, w, blocked ? &mask : NULL);
  pthread_cleanup_pop(0);
  int back = conn_return(op);
  return back ? back : rc;
}

static bool nonblocking(int fd, int flags) {
  if (flags & MSG_DONTWAIT)
    return true;
  int fl = libc_real()->fcntl(fd, F_GETFL);
  return fl < 0 || (fl & O_NONBLOCK);
}

int conn_wait_write(struct conn_op *op, int flags, struct conn_wait *w) {
  int rc = nonblocking(op->fd, flags) ? -EAGAIN : wait_by_poll(op, POLLOUT, timeout_of(op->fd, SO_SNDTIMEO), w);
  conn_unmask(op);
  return rc;
}

int conn_wait_more(struct conn_op *op, int flags, int queued) {
  size_t want = (size_t)queued + 1;
  long n;
  pthread_cleanup_push(cancelled, op);
  conn_leave(op->c);
  n = libc_real()->recv(op->fd, NULL, want, MSG_PEEK | MSG_TRUNC | MSG_WAITALL | (flags & MSG_DONTWAIT));
  pthread_cleanup_pop(0);
  return conn_return(op) == 0 && n == (long)want;
}

int conn_wait_read(struct conn_op *op, int flags, struct conn_wait *w) {
  char byte;
  long n;
  if (flags & MSG_DONTWAIT)
    return -EAGAIN;
  if (w->begun || w->some) {
    if (nonblocking(op->fd, 0))
      return -EAGAIN;
    /* Not the first wait of this call (a record came in pieces, or MSG_WAITALL): its timeout runs on. */
    int64_t timeout = timeout_of(op->fd, SO_RCVTIMEO);
    if (timeout >= 0 || w->some)
      return wait_by_poll(op, POLLIN, timeout, w);
  }
  if (!w->begun) {
    w->begun = true;
    w->since_ms = conn_now_ms();
  }
  pthread_cleanup_push(cancelled, op);
  conn_leave(op->c);
  n = libc_real()->recv(op->fd, &byte, 1, MSG_PEEK);
  pthread_cleanup_pop(0);
  int err = n < 0 ? -errno : 0, back = conn_return(op);
  return err == -EINTR || !back ? err : back; /* also where the handler closed it */
}
