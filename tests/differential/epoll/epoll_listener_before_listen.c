/* SPDX-License-Identifier: Apache-2.0 */
#include "epoll.h"

SCENARIO("Does a set that had the socket before listen() announce clients?") {
  int one = 1, l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), ep = ep_new();
  struct sockaddr_in a = at_port(port);
  ep_ctl(ep, EPOLL_CTL_ADD, l, EPOLLIN, 0x77);
  setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  CALL(bind(l, (struct sockaddr *)&a, sizeof a));
  CALL(listen(l, 8));
  ep_say("idle", ep, 0);
  int c = client_socket(0);
  CALL(connect_to(c, port));
  ep_say("client", ep, 30000);
  int s = accept(l, NULL, NULL);
  say("accepted: %d", s >= 0);
  ep_say("idle", ep, 0);
  ep_ctl(ep, EPOLL_CTL_MOD, l, EPOLLIN | EPOLLET, 0x78);
  ep_ctl(ep, EPOLL_CTL_DEL, l, 0, 0);
  ep_ctl(ep, EPOLL_CTL_DEL, l, 0, 0);
}
