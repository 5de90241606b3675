/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

static void on_signal(int sig) { (void)sig; }

SCENARIO("Do ppoll() and pselect() open the mask for the wait only?") {
  int s, c;
  pair(&s, &c);
  struct sigaction sa = {.sa_handler = on_signal};
  sigset_t block, open;
  sigaction(SIGUSR1, &sa, NULL);
  sigemptyset(&block);
  sigaddset(&block, SIGUSR1);
  sigprocmask(SIG_BLOCK, &block, &open);
  sigdelset(&open, SIGUSR1);
  struct pollfd p = {.fd = s, .events = POLLIN};
  struct timespec t = {5, 0};
  raise(SIGUSR1);
  CALL(ppoll(&p, 1, &t, &open));
  raise(SIGUSR1);
  fd_set r;
  FD_ZERO(&r);
  FD_SET(s, &r);
  CALL(pselect(s + 1, &r, NULL, NULL, &t, &open));
  raise(SIGUSR1);
  struct timespec none = {0, 1000000};
  CALL(ppoll(&p, 1, &none, NULL));
  int ep = epoll_create1(0);
  struct epoll_event ev = {.events = EPOLLIN};
  epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev);
  CALL(epoll_pwait(ep, &ev, 1, 5000, &open));
  write_all(c, 1, 0, 1);
  CALL(ppoll(&p, 1, &t, &open));
  say("revents %d", p.revents);
}
