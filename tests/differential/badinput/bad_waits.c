/* SPDX-License-Identifier: Apache-2.0 */
#include "badinput.h"

SCENARIO("What do poll, select and epoll say to bad arguments?") {
  int s, c, ep = epoll_create1(0);
  struct epoll_event ev[4] = {{.events = EPOLLIN}};
  struct timeval tv = {-1, 0}, good = {0, 0};
  struct timespec ts = {0, 1000000000L};
  fd_set r;
  struct pollfd p = {.fd = 0, .events = POLLIN};
  int volatile minus = -1, zero = 0, many = INT_MAX;
  pair(&s, &c);
  p.fd = s;
  CALL(epoll_ctl(ep, EPOLL_CTL_ADD, s, ev));
  CALL(epoll_ctl(ep, EPOLL_CTL_ADD, s, ev));
  CALL(epoll_ctl(ep, EPOLL_CTL_ADD, c, nowhere()));
  CALL(epoll_ctl(ep, EPOLL_CTL_MOD, s, nowhere()));
  CALL(epoll_ctl(ep, EPOLL_CTL_MOD, c, ev));
  CALL(epoll_ctl(ep, EPOLL_CTL_DEL, c, ev));
  CALL(epoll_ctl(ep, 99, s, ev));
  CALL(epoll_ctl(ep, EPOLL_CTL_ADD, ep, ev));
  CALL(epoll_ctl(s, EPOLL_CTL_ADD, c, ev));
  CALL(epoll_wait(ep, ev, zero, 0));
  CALL(epoll_wait(ep, ev, minus, 0));
  CALL(epoll_wait(ep, ev, many, 0));
  CALL(epoll_wait(s, ev, 1, 0));
  CALL(epoll_wait(ep, nowhere(), 4, 0));
  CALL(epoll_pwait2(ep, ev, 4, &ts, NULL));
  CALL(epoll_pwait2(ep, ev, 4, nowhere(), NULL));
  CALL(epoll_pwait(ep, ev, 4, 0, nowhere()));
  CALL(epoll_create(zero));
  CALL(epoll_create(minus));
  CALL(epoll_create1(12345));
  write_all(c, 10, 0, 10);
  wait_mask(s, POLLIN, POLLIN);
  CALL(epoll_wait(ep, nowhere(), 4, 0));
  CALL(epoll_wait(ep, ev, 4, 0));
  CALL(poll(nowhere(), 1, 0));
  CALL(poll(NULL, 0, 0));
  CALL(poll(&p, (nfds_t)many, 0));
  CALL(poll(&p, 1, -5));
  CALL(ppoll(&p, 1, &ts, NULL));
  CALL(ppoll(&p, 1, NULL, nowhere()));
  FD_ZERO(&r);
  FD_SET(s, &r);
  CALL(select(s + 1, &r, NULL, NULL, &tv));
  CALL(select(minus, &r, NULL, NULL, &good));
  CALL(select(s + 1, nowhere(), NULL, NULL, &good));
  CALL(pselect(s + 1, &r, NULL, NULL, &ts, NULL));
  FD_SET(50, &r);
  CALL(select(51, &r, NULL, NULL, &good));
  FD_CLR(50, &r);
  CALL(select(many, &r, NULL, NULL, &good));
  char b[10];
  CALL(read(s, b, 10));
  say_alive(s, c);
}
