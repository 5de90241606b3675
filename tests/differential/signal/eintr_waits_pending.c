/* SPDX-License-Identifier: Apache-2.0 */
#include "signal.h"

SCENARIO("The same while connect() is in progress") {
  int c = client_socket(SOCK_NONBLOCK), ep = epoll_create1(0);
  CALL(connect_to(c, dead_port));
  struct pollfd p = {.fd = c, .events = POLLOUT};
  struct epoll_event ev = {.events = EPOLLOUT};
  epoll_ctl(ep, EPOLL_CTL_ADD, c, &ev);
  fd_set w;
  FD_ZERO(&w);
  FD_SET(c, &w);
  on(counts, 0);
  pid_t kid = signal_soon();
  CALL(poll(&p, 1, 5000));
  reap(kid);
  kid = signal_soon();
  CALL(select(c + 1, NULL, &w, NULL, NULL));
  reap(kid);
  kid = signal_soon();
  CALL(epoll_wait(ep, &ev, 1, 5000));
  reap(kid);
}
