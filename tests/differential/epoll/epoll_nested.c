/* SPDX-License-Identifier: Apache-2.0 */
#include "epoll.h"

SCENARIO("Does an epoll set work inside poll() and inside another set?") {
  int l = listen_on(0, 8), inner = ep_new(), outer = ep_new(), c = client_socket(SOCK_NONBLOCK);
  ep_ctl(outer, EPOLL_CTL_ADD, inner, EPOLLIN, 1);
  CALL(connect_to(c, port));
  ep_ctl(inner, EPOLL_CTL_ADD, c, EPOLLOUT, 2);
  ep_say("outer", outer, 30000);
  ep_say("inner", inner, 30000);
  say_poll("inner", inner, POLLIN, 0);
  close(l);
}
