/* SPDX-License-Identifier: Apache-2.0 */
#include "io.h"

SCENARIO("The same, told by epoll when to go on") {
  int s, c, ep = epoll_create1(0);
  pair(&s, &c);
  set_nonblock(c, true);
  struct epoll_event ev = {.events = EPOLLOUT | EPOLLET, .data.u32 = 1};
  epoll_ctl(ep, EPOLL_CTL_ADD, c, &ev);
  CALL(epoll_wait(ep, &ev, 1, 0));
  size_t sent = fill_up(c, 0);
  while (epoll_wait(ep, &ev, 1, 0) > 0) { /* edges of the filling */
  }
  say("all there: %d", read_all(s, sent, 0, 65536) == sent);
  CALL(epoll_wait(ep, &ev, 1, 30000));
  CALL(write(c, "x", 1));
}
