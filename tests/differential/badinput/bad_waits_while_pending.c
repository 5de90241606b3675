/* SPDX-License-Identifier: Apache-2.0 */
#include "badinput.h"

SCENARIO("What do poll, select and epoll say to bad arguments while a connect is under way?") {
  int c = client_socket(SOCK_NONBLOCK), ep = epoll_create1(0);
  struct epoll_event ev[4] = {{.events = EPOLLIN | EPOLLOUT}};
  struct timeval tv = {-1, 0}, good = {0, 0};
  struct timespec ts = {0, 1000000000L};
  fd_set r;
  struct pollfd p = {.fd = c, .events = POLLIN};
  int volatile minus = -1, zero = 0, many = INT_MAX;
  CALL(connect_to(c, dead_port));
  CALL(epoll_ctl(ep, EPOLL_CTL_ADD, c, ev));
  CALL(epoll_ctl(ep, EPOLL_CTL_ADD, c, ev));
  CALL(epoll_ctl(ep, EPOLL_CTL_MOD, c, nowhere()));
  CALL(epoll_wait(ep, ev, zero, 0));
  CALL(epoll_wait(ep, ev, minus, 0));
  CALL(epoll_wait(ep, ev, many, 0));
  CALL(epoll_wait(c, ev, 1, 0));
  CALL(epoll_wait(99, ev, 1, 0));
  CALL(epoll_wait(ep, nowhere(), 4, 0));
  CALL(epoll_pwait2(ep, ev, 4, &ts, NULL));
  CALL(epoll_pwait2(ep, ev, 4, nowhere(), NULL));
  CALL(epoll_pwait(ep, ev, 4, 0, nowhere()));
  CALL(poll(nowhere(), 1, 0));
  CALL(poll(NULL, 0, 0));
  CALL(poll(&p, (nfds_t)many, 0));
  CALL(ppoll(&p, 1, &ts, NULL));
  CALL(ppoll(&p, 1, &(struct timespec){0, 0}, nowhere()));
  FD_ZERO(&r);
  FD_SET(c, &r);
  CALL(select(c + 1, &r, NULL, NULL, &tv));
  CALL(select(minus, &r, NULL, NULL, &good));
  CALL(select(c + 1, nowhere(), NULL, NULL, &good));
  CALL(pselect(c + 1, &r, NULL, NULL, &ts, NULL));
  FD_SET(50, &r);
  CALL(select(51, &r, NULL, NULL, &good));
  FD_CLR(50, &r);
  CALL(select(1024, &r, NULL, NULL, &good));
  CALL(write(c, nowhere(), 10));
  CALL(read(c, nowhere(), 10));
  CALL(writev(c, nowhere(), 1));
  CALL(sendmsg(c, nowhere(), 0));
  CALL(recvmsg(c, nowhere(), 0));
  int n;
  socklen_t len = sizeof n;
  CALL(getsockopt(c, SOL_SOCKET, SO_ERROR, nowhere(), &len));
  CALL(getsockopt(c, SOL_SOCKET, SO_ERROR, &n, nowhere()));
  CALL(getpeername(c, nowhere(), &len));
  CALL(ioctl(c, FIONREAD, nowhere()));
  CALL(ioctl(c, FIONREAD, NULL));
  CALL(connect(c, nowhere(), 16));
  CALL(connect(c, NULL, 16));
  CALL(connect(c, nowhere(), 1));
}
