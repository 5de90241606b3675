/* SPDX-License-Identifier: Apache-2.0 */
#include "threads.h"

static void *all(void *arg) {
  (void)arg;
  role("small");
  int s, c, ep = epoll_create1(0);
  struct epoll_event ev = {.events = EPOLLIN};
  fd_set r;
  char b[100];
  pair(&s, &c);
  say("wrote %zd", write(c, "0123456789", 10));
  wait_mask(s, POLLIN, POLLIN);
  say("peeked %zd", recv(s, b, 100, MSG_PEEK));
  int n = 0;
  ioctl(s, FIONREAD, &n);
  say("there %d", n);
  say("read %zd", read(s, b, 3));
  FD_ZERO(&r);
  FD_SET(s, &r);
  say("select %d", select(s + 1, &r, NULL, NULL, NULL));
  epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev);
  say("epoll %d", epoll_wait(ep, &ev, 1, 1000));
  say("read %zd", read(s, b, 100));
  static char big[300000];
  set_nonblock(c, true);
  ssize_t wrote = write(c, big, sizeof big);
  say("wrote much %d", wrote > 50000);
  say("read it %d", recv(s, big, (size_t)wrote, MSG_WAITALL) == wrote);
  int d = client_socket(SOCK_NONBLOCK);
  say("connect %d", connect_to(d, port));
  say_wait("refused", d, POLLOUT);
  close(d);
  pid_t pid = fork();
  if (pid == 0)
    _exit(write(c, "x", 1) == 1 ? 0 : 1);
  child_status(pid);
  say("read %zd", read(s, b, 100));
  CALL(shutdown(c, SHUT_WR));
  say("read %zd", read(s, b, 100));
  CALL(close(c));
  CALL(close(s));
  return NULL;
}

SCENARIO("Does all of it work on the smallest stack that a thread may have?") { on_a_small_stack(all, NULL); }
