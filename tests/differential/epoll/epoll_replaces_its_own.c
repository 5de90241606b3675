/* SPDX-License-Identifier: Apache-2.0 */
#include "epoll.h"

#include <sys/eventfd.h>

static void over(const char *what, bool itself) {
  int s, c, e = epoll_create1(0), other = eventfd(0, 0);
  struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT, .data.u64 = 7};
  pair(&s, &c);
  say("%s", what);
  CALL(epoll_ctl(e, EPOLL_CTL_ADD, s, &ev));
  CALL(dup2(itself ? e : other, s) == s);
  CALL(epoll_wait(e, &ev, 1, 0));
  CALL(epoll_ctl(e, EPOLL_CTL_DEL, s, NULL));
  wait_mask(c, POLLIN, POLLIN);
  CALL(recv(c, &ev, 1, 0));
  close(c);
  close(s);
  close(e);
  close(other);
}

SCENARIO("Is a connection gone from an epoll set when dup2() puts another file, or the set itself, on its number?") {
  over("an eventfd", false);
  over("the set", true);
}
