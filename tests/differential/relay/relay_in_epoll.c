/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

SCENARIO("Does a connection stay in the epoll sets where it was, under its number and its data?") {
  int s, c, ep = epoll_create1(0), keep = dup(0);
  char b[10];
  pair(&s, &c);
  struct epoll_event e = {.events = EPOLLIN, .data.u64 = 4711};
  CALL(epoll_ctl(ep, EPOLL_CTL_ADD, s, &e));
  CALL(dup2(s, 0));
  CALL(epoll_wait(ep, &e, 1, 0));
  write_all(c, 10, 0, 10);
  CALL(epoll_wait(ep, &e, 1, 5000));
  say("data %llu mask %x", (unsigned long long)e.data.u64, e.events);
  CALL(read(s, b, sizeof b));
  CALL(epoll_wait(ep, &e, 1, 0));
  CALL(close(s));
  CALL(dup2(keep, 0));
  CALL(read(c, b, 1));
  CALL(epoll_wait(ep, &e, 1, 50));
}
