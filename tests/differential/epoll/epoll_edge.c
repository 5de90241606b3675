/* SPDX-License-Identifier: Apache-2.0 */
#include "epoll.h"

SCENARIO("Which edges does an edge-triggered set report?") {
  int s, c, ep = ep_new();
  char buf[100];
  pair(&s, &c);
  ep_ctl(ep, EPOLL_CTL_ADD, s, EPOLLIN | EPOLLET, 1);
  ep_say("idle", ep, 0);
  write_all(c, 50, 0, 50);
  ep_say("first", ep, 30000);
  ep_say("not again", ep, 50);
  CALL(read(s, buf, 10));
  ep_say("nothing new", ep, 50);
  write_all(c, 50, 50, 50);
  ep_say("more", ep, 30000);
  CALL(recv(s, buf, 90, MSG_WAITALL));
  CALL(recv(s, buf, 90, MSG_DONTWAIT));
  write_all(c, 1, 0, 1);
  ep_say("one byte", ep, 30000);
  CALL(recv(s, buf, 90, MSG_DONTWAIT));
  ep_ctl(ep, EPOLL_CTL_MOD, s, EPOLLIN | EPOLLOUT | EPOLLET, 2);
  ep_say("out edge by MOD", ep, 0);
  ep_say("no edge", ep, 50);
  close(c);
  uint32_t m = 0;
  for (int i = 0; i < 100 && !(m & EPOLLIN); i++) {
    struct epoll_event ev;
    m |= epoll_wait(ep, &ev, 1, 100) == 1 ? ev.events : 0;
  }
  say("the end is an edge: %d", (m & EPOLLIN) != 0);
  CALL(read(s, buf, 10));
}
