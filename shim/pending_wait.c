/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pending_wait.c - waiting for the answer where TCP would wait for the peer: in a blocking connect(), and
 * in read() and write() after one was interrupted.
 *
 * The wait is one recv(MSG_PEEK) on the reply socket, so that EINTR, SA_RESTART and time limits are the
 * kernel's own. It never holds a lock.
 */
#include "pending_int.h"

#include "libc.h"

#include <errno.h>
#include <signal.h>
#include <sys/time.h>

#define SLICE_MS 5

int64_t pending_socket_timeout(int fd, int option) {
  struct timeval t;
  socklen_t len = sizeof t;
  if (libc_real()->getsockopt(fd, SOL_SOCKET, option, &t, &len) != 0 || (t.tv_sec == 0 && t.tv_usec == 0))
    return -1;
  int64_t ms = (int64_t)t.tv_sec * 1000 + (t.tv_usec + 999) / 1000;
  return ms > 0 ? ms : 1;
}

/* With a time limit on the socket recv() is never restarted by the kernel. Where every handler of this process
 * asks for that (or there is none), we can restart it ourselves and have our deadline; else the kernel must
 * decide, and the deadline is left to the daemon. */
static bool restarts_always(void) {
  for (int sig = 1; sig < NSIG; sig++) {
    struct sigaction a;
    if (sigaction(sig, NULL, &a) == 0 && a.sa_handler != SIG_DFL && a.sa_handler != SIG_IGN &&
        !(a.sa_flags & SA_RESTART))
      return false;
  }
  return true;
}

static void set_limit(int reply, int64_t ms) {
  struct timeval t = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
  libc_real()->setsockopt(reply, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
}

/* No reply socket yet: another thread is in its real connect(), or another process has it. */
static int nap(int64_t left) {
  struct timespec t = {.tv_nsec = (left >= 0 && left < SLICE_MS ? left : SLICE_MS) * 1000000};
  return libc_real()->ppoll(NULL, 0, &t, NULL) < 0 ? -EINTR : 0;
}

static int wait_once(struct pending *p, int reply, int64_t left, bool ours) {
  char byte;
  int64_t to_deadline = (int64_t)(p->deadline_ms - pending_now_ms());
  if (to_deadline < 1)
    return 0; /* pending_settle() sees it */
  if (left >= 0)
    set_limit(reply, left < to_deadline ? left : to_deadline);
  else
    set_limit(reply, ours ? to_deadline : 0);
  ssize_t n = libc_real()->recv(reply, &byte, 1, MSG_PEEK);
  return n < 0 && errno == EINTR && !(ours && left < 0) ? -EINTR : 0;
}

static int wait_for_answer(struct sock *s, struct pending *p, int fd, int64_t limit_ms) {
  uint64_t start = pending_now_ms();
  bool ours = limit_ms < 0 && restarts_always();
  int keep = errno;
  for (;;) {
    if (p->closed)
      return -EBADF;
    if (pending_settle(s, fd) != SOCK_PENDING)
      return p->closed ? -EBADF : 0;
    int64_t left = -1;
    if (limit_ms >= 0) {
      left = limit_ms - (int64_t)(pending_now_ms() - start);
      if (left <= 0)
        return -ETIMEDOUT;
    }
    int reply = pending_reply(p);
    int rc = reply < 0 ? nap(left) : wait_once(p, reply, left, ours);
    if (rc == -EINTR && reply < 0 && ours)
      rc = 0;
    errno = keep;
    if (rc != 0)
      return pending_settle(s, fd) != SOCK_PENDING && !p->closed ? 0 : rc;
  }
}

void pending_await(struct sock *s, int fd) {
  struct pending *p = pending_pin(s);
  while (p && pending_wait(s, p, fd, -1) == -EINTR) {
  }
  if (p)
    pending_unpin(p);
}

struct pins {
  struct sock *s;
  struct pending *p;
};

/* The thread is cancelled while it waits, as it may be natively: connect() goes on by itself. What it had pinned, one
 * of each, nobody else gives back. */
static void cancelled(void *arg) {
  struct pins *pins = arg;
  pending_unpin(pins->p);
  sock_put(pins->s);
}

int pending_wait(struct sock *s, struct pending *p, int fd, int64_t limit_ms) {
  struct pending *outer = pending_waiting;
  struct pins pins = {s, p};
  int rc;
  pending_waiting = p;
  pthread_cleanup_push(cancelled, &pins);
  rc = wait_for_answer(s, p, fd, limit_ms);
  pthread_cleanup_pop(0);
  pending_waiting = outer;
  return rc;
}
