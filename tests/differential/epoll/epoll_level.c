/* SPDX-License-Identifier: Apache-2.0 */
#include "epoll.h"

SCENARIO("Which events does a level-triggered set report through a connection's life?") {
  int s, c, ep = ep_new();
  char buf[100];
  pair(&s, &c);
  ep_ctl(ep, EPOLL_CTL_ADD, s, EPOLLIN | EPOLLRDHUP, 0x1234567890abcdefull);
  ep_say("idle", ep, 0);
  write_all(c, 50, 0, 50);
  ep_say("data", ep, 30000);
  ep_say("data again", ep, 0);
  CALL(read(s, buf, 20));
  ep_say("some left", ep, 0);
  CALL(read(s, buf, 100));
  ep_say("drained", ep, 0);
  ep_ctl(ep, EPOLL_CTL_MOD, s, EPOLLOUT, 2);
  ep_say("out", ep, 0);
  ep_ctl(ep, EPOLL_CTL_ADD, s, EPOLLOUT, 2);
  ep_ctl(ep, EPOLL_CTL_DEL, s, 0, 0);
  ep_say("deleted", ep, 0);
  ep_ctl(ep, EPOLL_CTL_MOD, s, EPOLLOUT, 2);
  ep_ctl(ep, EPOLL_CTL_ADD, s, EPOLLIN | EPOLLRDHUP, 3);
  close(c);
  wait_mask(s, POLLIN | POLLRDHUP, POLLRDHUP);
  ep_say("closed", ep, 0);
  close(s);
  ep_say("gone", ep, 0);
}
