/* SPDX-License-Identifier: Apache-2.0 */
#include "connect.h"

SCENARIO("Which events does epoll report for a refused connect()?") {
  int c = client_socket(SOCK_NONBLOCK), ep = epoll_create1(0);
  struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u32 = 5};
  epoll_ctl(ep, EPOLL_CTL_ADD, c, &ev);
  CALL(connect_to(c, port));
  wait_mask(c, POLLIN | POLLOUT, POLLERR);
  char m[64];
  CALL(epoll_wait(ep, &ev, 1, 5000));
  say("mask %s", mask_name((short)ev.events, m));
  say_so_error(c);
}
