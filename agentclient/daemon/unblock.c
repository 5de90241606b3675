/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unblock.c - a POSIX timer that signals this one thread. Changes nothing about the socket.
 */
#include "unblock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define LIMIT_NS 50000000L

struct unblock {
  timer_t timer;
};

static void alarmed(int sig) { (void)sig; /* being here is what ends the accept() */ }

struct unblock *unblock_new(void) {
  struct unblock *u = calloc(1, sizeof *u);
  if (!u)
    return NULL;
  struct sigaction sa = {.sa_handler = alarmed}; /* no SA_RESTART */
  struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM};
  ev.sigev_notify_thread_id = gettid();
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGALRM);
  if (sigaction(SIGALRM, &sa, NULL) != 0 || pthread_sigmask(SIG_UNBLOCK, &set, NULL) != 0 ||
      timer_create(CLOCK_MONOTONIC, &ev, &u->timer) != 0) {
    free(u);
    return NULL;
  }
  return u;
}

void unblock_free(struct unblock *u) {
  if (!u)
    return;
  timer_delete(u->timer);
  free(u);
}

int unblock_accept(struct unblock *u, int fd, struct sockaddr *addr, socklen_t *len, int flags) {
  struct pollfd p = {.fd = fd, .events = POLLIN};
  if (poll(&p, 1, 0) == 0) {
    errno = EAGAIN;
    return -1;
  }
  /* Repeating: a first signal could come between here and the accept(). */
  const struct itimerspec on = {{0, LIMIT_NS}, {0, LIMIT_NS}}, off = {{0, 0}, {0, 0}};
  timer_settime(u->timer, 0, &on, NULL);
  int got = accept4(fd, addr, len, flags);
  int err = got < 0 && errno == EINTR ? ETIMEDOUT : errno;
  timer_settime(u->timer, 0, &off, NULL);
  errno = err;
  return got;
}
