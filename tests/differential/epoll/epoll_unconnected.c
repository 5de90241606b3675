/* SPDX-License-Identifier: Apache-2.0 */
#include "epoll.h"

SCENARIO(
    "A socket that is not connected yet says OUT|HUP: is the connection announced no earlier than it is there?") {
  int l = listen_on(0, 8), c = client_socket(SOCK_NONBLOCK), ep = ep_new();
  ep_ctl(ep, EPOLL_CTL_ADD, c, EPOLLIN | EPOLLOUT, 1);
  ep_say("not connected", ep, 0);
  CALL(connect_to(c, port));
  ep_say("connected", ep, 30000);
  CALL(write(c, "x", 1));
  CALL(write(c, "y", 1));
  char buf[4];
  int s = accept(l, NULL, NULL);
  CALL(recv(s, buf, 2, MSG_WAITALL));
}
