/* SPDX-License-Identifier: Apache-2.0 */
#include "connect.h"

SCENARIO("What do poll, select and epoll say while connect() is in progress?") {
  int c = client_socket(SOCK_NONBLOCK), ep = epoll_create1(0), ep2 = epoll_create1(0);
  struct epoll_event ev = {.events = EPOLLOUT | EPOLLIN, .data.u32 = 5};
  epoll_ctl(ep, EPOLL_CTL_ADD, c, &ev);
  CALL(connect_to(c, dead_port));
  epoll_ctl(ep2, EPOLL_CTL_ADD, c, &ev);
  CALL(epoll_wait(ep, &ev, 1, 50));
  CALL(epoll_wait(ep2, &ev, 1, 50));
  fd_set r, w;
  FD_ZERO(&r);
  FD_ZERO(&w);
  FD_SET(c, &r);
  FD_SET(c, &w);
  struct timeval t = {0, 50000};
  CALL(select(c + 1, &r, &w, NULL, &t));
  struct pollfd p = {.fd = c, .events = POLLOUT};
  struct timespec ts = {0, 50000000};
  CALL(ppoll(&p, 1, &ts, NULL));
  pid_t kid = fork();
  if (kid == 0) {
    role("child");
    say_poll("in progress", c, POLLIN | POLLOUT, 50);
    CALL(connect_to(c, dead_port));
    _exit(0);
  }
  child_status(kid);
  say_poll("in progress", c, POLLIN | POLLOUT, 50);
}
