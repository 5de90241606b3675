/* SPDX-License-Identifier: Apache-2.0 */
#include "epoll.h"

SCENARIO("Do MOD, DEL and a second set work while the connection is still being made?") {
  int l = listen_on(0, 8), c = client_socket(SOCK_NONBLOCK), ep = ep_new(), ep2 = ep_new();
  ep_ctl(ep, EPOLL_CTL_ADD, c, EPOLLIN, 1);
  CALL(connect_to(c, port));
  ep_ctl(ep, EPOLL_CTL_MOD, c, EPOLLOUT, 2);
  ep_ctl(ep, EPOLL_CTL_ADD, c, EPOLLOUT, 3);
  ep_ctl(ep2, EPOLL_CTL_ADD, c, EPOLLOUT, 4);
  ep_say("first set", ep, 30000);
  ep_say("second set", ep2, 30000);
  ep_ctl(ep, EPOLL_CTL_DEL, c, 0, 0);
  ep_ctl(ep, EPOLL_CTL_DEL, c, 0, 0);
  ep_say("first set, deleted", ep, 0);
  ep_say("second set", ep2, 0);
  close(c);
  ep_say("second set, closed", ep2, 0);
  close(l);
}
