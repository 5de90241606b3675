/* SPDX-License-Identifier: Apache-2.0 */
#define READABLE_TOTAL 64000
#include "readable_and_nothing_there.h"

static int set = -1;
static uint32_t events;

static bool by_epoll(int fd) {
  struct epoll_event ev = {.events = events, .data.u64 = 77};
  if (set < 0) {
    set = epoll_create1(0);
    epoll_ctl(set, EPOLL_CTL_ADD, fd, &ev);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){9000}, sizeof(int)); /* a record does not fit */
  } else if (events & EPOLLONESHOT) {
    epoll_ctl(set, EPOLL_CTL_MOD, fd, &ev);
  }
  return epoll_wait(set, &ev, 1, 10000) == 1 && ev.data.u64 == 77;
}

static void in_a_set(uint32_t how, size_t size, bool nonblocking) {
  events = EPOLLIN | how;
  readable_run(by_epoll, size, nonblocking);
  close(set);
  set = -1;
}

SCENARIO(
    "When epoll_wait() says that a descriptor is readable, does a recv() that may not block ever find nothing?") {
  in_a_set(0, 8192, false);
  in_a_set(0, 65536, true);
  in_a_set(EPOLLRDHUP, 65536, true);
  in_a_set(EPOLLONESHOT, 8192, true);
  in_a_set(EPOLLONESHOT, 65536, false);
}
