/* SPDX-License-Identifier: Apache-2.0 */
#include "epoll.h"

SCENARIO("Is a one-shot registration disarmed after its event, and armed again by MOD?") {
  int s, c, ep = ep_new();
  char buf[100];
  pair(&s, &c);
  ep_ctl(ep, EPOLL_CTL_ADD, s, EPOLLIN | EPOLLONESHOT, 1);
  write_all(c, 50, 0, 50);
  ep_say("fired", ep, 30000);
  ep_say("disarmed", ep, 50);
  ep_ctl(ep, EPOLL_CTL_MOD, s, EPOLLIN | EPOLLONESHOT, 2);
  ep_say("armed again", ep, 30000);
  CALL(read(s, buf, 100));
  ep_ctl(ep, EPOLL_CTL_MOD, s, EPOLLIN | EPOLLET | EPOLLONESHOT, 3);
  ep_say("nothing", ep, 0);
  write_all(c, 50, 0, 50);
  ep_say("fired", ep, 30000);
  write_all(c, 50, 0, 50);
  ep_say("disarmed", ep, 50);
}
