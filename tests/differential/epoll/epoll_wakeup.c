/* SPDX-License-Identifier: Apache-2.0 */
#include "epoll.h"

/* EPOLLWAKEUP holds a phone awake; elsewhere it changes nothing, and must go through connect() unharmed. */
SCENARIO("Does EPOLLWAKEUP change nothing, on listeners, on connections and while connect() is in progress?") {
  int l = listen_on(SOCK_NONBLOCK, 8), c = client_socket(SOCK_NONBLOCK), ep = ep_new(), s;
  char b[100];
  ep_ctl(ep, EPOLL_CTL_ADD, c, EPOLLIN | EPOLLOUT | EPOLLONESHOT | EPOLLWAKEUP, 1);
  CALL(connect_to(c, port));
  ep_say("connected", ep, 5000);
  ep_say("once", ep, 0);
  wait_mask(l, POLLIN, POLLIN);
  s = accept(l, NULL, NULL);
  ep_ctl(ep, EPOLL_CTL_MOD, c, EPOLLIN | EPOLLET | EPOLLWAKEUP, 2);
  write_all(s, 100, 0, 100);
  ep_say("data", ep, 5000);
  CALL(read(c, b, 100));
  ep_say("drained", ep, 0);
  struct epoll_event ev = {.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLWAKEUP};
  CALL(epoll_ctl(ep, EPOLL_CTL_MOD, c, &ev));
  CALL(epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev));
  CALL(epoll_ctl(ep, EPOLL_CTL_MOD, s, &ev));
  int d = client_socket(SOCK_NONBLOCK);
  connect_to(d, dead_port);
  ev.events = EPOLLIN | EPOLLWAKEUP | EPOLLEXCLUSIVE;
  CALL(epoll_ctl(ep, EPOLL_CTL_ADD, d, &ev));
  ev.events = EPOLLIN | EPOLLWAKEUP;
  CALL(epoll_ctl(ep, EPOLL_CTL_MOD, d, &ev));
  CALL(epoll_ctl(ep, EPOLL_CTL_DEL, d, &ev));
  close(l);
  accept_by_epoll(EPOLLWAKEUP);
}
