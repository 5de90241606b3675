/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("connect() on descriptor 0 is refused, and made again once somebody listens: are both answers TCP's?") {
  int keep = dup(0), ep = epoll_create1(0);
  char b[10];
  close(0);
  int c = socket(AF_INET, SOCK_STREAM, 0);
  struct epoll_event e = {.events = EPOLLIN, .data.u64 = 12};
  CALL(connect_to(c, port));
  int l = listen_on(0, 8);
  CALL(epoll_ctl(ep, EPOLL_CTL_ADD, c, &e));
  CALL(connect_to(c, port));
  int s = accept(l, NULL, NULL);
  CALL(epoll_wait(ep, &e, 1, 0));
  CALL(write(s, "hello", 5));
  CALL(epoll_wait(ep, &e, 1, 5000));
  say("data %llu mask %x", (unsigned long long)e.data.u64, e.events);
  CALL(read(c, b, 5));
  CALL(epoll_wait(ep, &e, 1, 20));
  CALL(connect_to(c, port));
  dup2(keep, 0);
  CALL(read(s, b, 1));
}
