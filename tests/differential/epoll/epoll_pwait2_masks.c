/* SPDX-License-Identifier: Apache-2.0 */
#include "epoll.h"

/* epoll_pwait() and epoll_pwait2() with a mask: a signal that is blocked outside interrupts the wait, once. */
static volatile sig_atomic_t ran;

static void counts(int sig) {
  (void)sig;
  ran++;
}

static void wait_both(const char *what, int ep, const sigset_t *mask) {
  struct epoll_event ev[4];
  struct timespec none = {0, 0}, soon = {0, 1000000}, long_enough = {8, 0};
  say("-- %s", what);
  ran = 0;
  raise(SIGUSR1);
  CALL(epoll_pwait2(ep, ev, 4, &soon, NULL));
  say("ran %d", (int)ran);
  CALL(epoll_pwait2(ep, ev, 4, &long_enough, mask));
  say("ran %d", (int)ran);
  CALL(epoll_pwait2(ep, ev, 4, &none, mask));
  raise(SIGUSR1);
  CALL(epoll_pwait(ep, ev, 4, 8000, mask));
  say("ran %d", (int)ran);
  raise(SIGUSR1);
  CALL(epoll_pwait2(ep, ev, 4, NULL, mask));
  say("ran %d", (int)ran);
}

SCENARIO("Do epoll_pwait() and epoll_pwait2() open the signal mask for the wait, a connect in progress or not?") {
  int l, s, c, ep = ep_new(), other = ep_new(), d = client_socket(SOCK_NONBLOCK);
  struct sigaction a = {.sa_handler = counts};
  struct epoll_event ev[4];
  struct timespec bad = {0, 1000000000}, negative = {-1, 0};
  sigset_t block, open;
  char b[10];
  sigaction(SIGUSR1, &a, NULL);
  sigemptyset(&block);
  sigaddset(&block, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &block, &open);
  pair_keep(&l, &s, &c);
  ep_ctl(ep, EPOLL_CTL_ADD, s, EPOLLIN, 1);
  ep_ctl(ep, EPOLL_CTL_ADD, l, EPOLLIN, 2);
  wait_both("a connection and a listener", ep, &open);
  CALL(connect_to(d, dead_port));
  ep_ctl(other, EPOLL_CTL_ADD, d, EPOLLIN | EPOLLOUT, 3);
  wait_both("a connect in progress", other, &open);
  CALL(epoll_pwait2(ep, ev, 4, &bad, NULL));
  CALL(epoll_pwait2(ep, ev, 4, &negative, NULL));
  CALL(epoll_pwait2(other, ev, 4, &bad, &open));
  raise(SIGUSR1); /* what is ready goes first or the signal does, but it runs, and the mask comes back */
  write_all(c, 10, 0, 10);
  wait_mask(s, POLLIN, POLLIN);
  ran = 0;
  int n = epoll_pwait2(ep, ev, 4, NULL, &block);
  say("ready %d, ran %d", n, (int)ran);
  pthread_sigmask(SIG_BLOCK, NULL, &open);
  say("blocked %d", sigismember(&open, SIGUSR1));
  CALL(read(s, b, 10));
}
