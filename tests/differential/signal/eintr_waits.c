/* SPDX-License-Identifier: Apache-2.0 */
#include "signal.h"

SCENARIO("Do signals interrupt poll, select and epoll_wait?") {
  int s, c, ep = epoll_create1(0);
  pair(&s, &c);
  struct pollfd p = {.fd = s, .events = POLLIN};
  struct epoll_event ev = {.events = EPOLLIN};
  epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev);
  fd_set r;
  FD_ZERO(&r);
  FD_SET(s, &r);
  on(counts, SA_RESTART);
  pid_t kid = signal_soon();
  CALL(poll(&p, 1, 5000));
  reap(kid);
  kid = signal_soon();
  CALL(select(s + 1, &r, NULL, NULL, NULL));
  reap(kid);
  kid = signal_soon();
  CALL(epoll_wait(ep, &ev, 1, 5000));
  reap(kid);
  say("signals %d", (int)caught);
}
