/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signal.h - what several scenarios of this family need.
 */
#ifndef DIFFERENTIAL_SIGNAL_H
#define DIFFERENTIAL_SIGNAL_H

#include "scenario.h"

#include <setjmp.h>

__attribute__((unused)) static volatile sig_atomic_t caught;

__attribute__((unused)) static int other_fd = -1;

__attribute__((unused)) static sigjmp_buf back;

static inline void counts(int sig) {
  (void)sig;
  caught++;
}

static inline void jumps(int sig) {
  (void)sig;
  caught++;
  siglongjmp(back, 1);
}

static inline void on(void (*fn)(int), int flags) {
  struct sigaction sa = {.sa_handler = fn, .sa_flags = flags};
  sigaction(SIGUSR1, &sa, NULL);
  caught = 0;
}

/* Sends the signal to this process once it waits: from a child, so that no timer is involved. */
static inline pid_t signal_soon(void) {
  pid_t me = getpid(), kid = fork();
  if (kid == 0) {
    until_asleep(me);
    kill(me, SIGUSR1);
    _exit(0);
  }
  return kid;
}

static inline void reap(pid_t kid) {
  while (waitpid(kid, NULL, 0) < 0 && errno == EINTR) {
  }
}

static inline void *reads_on(void *arg) {
  char b[10];
  role("reader");
  int fd = *(int *)arg;
  ssize_t n = read(fd, b, sizeof b);
  say("ended: %d", n <= (ssize_t)sizeof b);
  return NULL;
}

#endif
