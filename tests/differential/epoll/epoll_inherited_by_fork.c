/* SPDX-License-Identifier: Apache-2.0 */
#include "epoll.h"

SCENARIO("Does a set that a child inherits tell both processes of the same connections?") {
  int s, c, ep = epoll_create1(0);
  struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP, .data.u64 = 7};
  struct step ready, done;
  step_init(&ready);
  step_init(&done);
  pair(&s, &c);
  CALL(epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev));
  pid_t pid = fork();
  if (pid == 0) {
    role("child");
    step_wait(&ready);
    CALL(epoll_wait(ep, &ev, 1, 5000));
    say("data %d, events %x", (int)ev.data.u64, ev.events);
    say("read %zu", read_all(s, 10, 0, 10));
    ev.events = EPOLLIN | EPOLLRDHUP;
    ev.data.u64 = 8;
    CALL(epoll_ctl(ep, EPOLL_CTL_MOD, s, &ev));
    step_go(&done);
    _exit(0);
  }
  write_all(c, 10, 0, 10);
  step_go(&ready);
  step_wait(&done);
  child_status(pid);
  CALL(epoll_wait(ep, &ev, 1, 0));
  shutdown(c, SHUT_WR);
  wait_mask(s, POLLRDHUP, POLLRDHUP);
  CALL(epoll_wait(ep, &ev, 1, 5000));
  say("data %d, events %x", (int)ev.data.u64, ev.events);
  CALL(close(s));
  CALL(epoll_wait(ep, &ev, 1, 0));
}
