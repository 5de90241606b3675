/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

/* The new process of a hot restart, as proxies do it: options, listen() and epoll come first, accept() when there is
 * something to accept. */
static void take_over(int ep, int l) {
  int one = 1, n = 0;
  socklen_t len = sizeof n;
  CALL(setsockopt(l, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one));
  CALL(setsockopt(l, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one));
  CALL(getsockopt(l, SOL_SOCKET, SO_REUSEPORT, &n, &len));
  say("in a group: %d", n);
  CALL(fcntl(l, F_SETFL, O_NONBLOCK));
  CALL(listen(l, 32));
  struct epoll_event e = {.events = EPOLLIN, .data = {.fd = l}};
  CALL(epoll_ctl(ep, EPOLL_CTL_ADD, l, &e) == 0);
}

static void answer_one(int l) {
  int s = accept(l, NULL, NULL), alive = 0;
  socklen_t len = sizeof alive;
  if (s < 0)
    return;
  CALL(getsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &alive, &len));
  say("keepalive %d, %zu bytes", alive, read_all(s, 1000, 0, 300));
  write_all(s, 1000, 0, 1000);
  close(s);
}

IMAGE {
  role("new");
  int l[2] = {-1, -1}, ep = epoll_create1(0), third;
  char b, control[CMSG_SPACE(sizeof l)];
  struct iovec v = {&b, 1};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  CALL(recvmsg(3, &m, 0));
  memcpy(l, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof l);
  take_over(ep, l[0]);
  third = dup(l[1]); /* before anything is known of it */
  close(l[1]);
  take_over(ep, third);
  struct epoll_event e = {.events = EPOLLIN, .data = {.fd = 3}};
  epoll_ctl(ep, EPOLL_CTL_ADD, 3, &e);
  CALL(write(3, "r", 1));
  while (epoll_wait(ep, &e, 1, 30000) == 1 && e.data.fd != 3)
    answer_one(e.data.fd);
  CALL(shutdown(third, SHUT_RDWR));
}
