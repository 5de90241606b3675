/* SPDX-License-Identifier: Apache-2.0 */
#include "epoll.h"

/* Who asks for EPOLLPRI, as libevent's and X's loops do, is told of what else happens and of nothing urgent. */
static void life(uint32_t flags) {
  int l, s, c, ep = ep_new();
  char b[100];
  say("-- %s", flags & EPOLLET ? "edges" : "levels");
  pair_keep(&l, &s, &c);
  ep_ctl(ep, EPOLL_CTL_ADD, l, EPOLLPRI | flags, 1);
  ep_ctl(ep, EPOLL_CTL_ADD, s, EPOLLPRI | flags, 2);
  ep_say("idle", ep, 0);
  write_all(c, 50, 0, 50);
  wait_mask(s, POLLIN, POLLIN);
  ep_say("data, only PRI asked", ep, 0);
  ep_ctl(ep, EPOLL_CTL_MOD, s, EPOLLPRI | EPOLLIN | EPOLLRDHUP | flags, 3);
  ep_say("data", ep, 5000);
  CALL(read(s, b, 100));
  ep_say("drained", ep, 0);
  shutdown(c, SHUT_WR);
  wait_mask(s, POLLIN | POLLRDHUP, POLLRDHUP);
  ep_say("half-closed", ep, 5000);
  ep_ctl(ep, EPOLL_CTL_MOD, s, EPOLLPRI | flags, 4);
  ep_say("half-closed, only PRI asked", ep, 0);
  close(s);
  close(c);
  close(l);
  close(ep);
}

SCENARIO("What does a set report that was asked for EPOLLPRI?") {
  life(0);
  life(EPOLLET);
  int l = listen_on(0, 8), c = client_socket(SOCK_NONBLOCK), ep = ep_new();
  ep_ctl(ep, EPOLL_CTL_ADD, c, EPOLLPRI, 5);
  CALL(connect_to(c, port));
  wait_mask(c, POLLOUT, POLLOUT);
  ep_say("connected, only PRI asked", ep, 0);
  ep_ctl(ep, EPOLL_CTL_MOD, c, EPOLLPRI | EPOLLOUT, 6);
  ep_say("connected", ep, 5000);
  close(l);
}
