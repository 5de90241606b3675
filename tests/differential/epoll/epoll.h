/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoll.h - what several scenarios of this family need.
 */
#ifndef DIFFERENTIAL_EPOLL_H
#define DIFFERENTIAL_EPOLL_H

#include "scenario.h"

static inline int ep_new(void) { return epoll_create1(EPOLL_CLOEXEC); }

static inline void ep_ctl(int ep, int op, int fd, uint32_t events, uint64_t tag) {
  struct epoll_event ev = {.events = events, .data.u64 = tag};
  if (epoll_ctl(ep, op, fd, &ev) != 0)
    say("epoll_ctl: %s", errno_name(errno));
}

/* One event at most: its mask and tag. */
static inline uint32_t ep_say(const char *what, int ep, int ms) {
  struct epoll_event ev[4];
  int n = epoll_wait(ep, ev, 4, ms);
  if (n < 0)
    say("%s: %s", what, errno_name(errno));
  if (n == 0)
    say("%s: nothing", what);
  for (int i = 0; i < n; i++) {
    char m[64];
    say("%s: tag %llx %s", what, (unsigned long long)ev[i].data.u64, mask_name((short)ev[i].events, m));
  }
  return n > 0 ? ev[0].events : 0;
}

static inline void accept_by_epoll(uint32_t flags) {
  int l = listen_on(SOCK_NONBLOCK, 16), ep = ep_new(), c[3];
  ep_ctl(ep, EPOLL_CTL_ADD, l, EPOLLIN | flags, 7);
  ep_say("idle", ep, 0);
  int got = 0;
  for (int i = 0; i < 3; i++) {
    c[i] = client_socket(0);
    connect_to(c[i], port);
  }
  for (int turns = 0; got < 3 && turns < 100; turns++) {
    struct epoll_event ev;
    if (epoll_wait(ep, &ev, 1, 5000) != 1)
      break;
    while (accept4(l, NULL, NULL, 0) >= 0)
      got++;
  }
  say("accepted %d", got);
  ep_say("drained", ep, 0);
  CALL(accept4(l, NULL, NULL, 0));
}

static inline void before_connect(uint32_t flags) {
  int l = listen_on(0, 8), c = client_socket(SOCK_NONBLOCK), ep = ep_new();
  ep_ctl(ep, EPOLL_CTL_ADD, c, EPOLLIN | EPOLLOUT | EPOLLRDHUP | flags, 0xabcdef);
  CALL(connect_to(c, port));
  ep_say("connected", ep, 30000);
  int s = accept(l, NULL, NULL);
  say("accepted: %d", s >= 0);
  write_all(s, 100, 0, 100);
  wait_mask(c, POLLIN, POLLIN);
  ep_say("data", ep, 100);
  char buf[100];
  CALL(read(c, buf, 100));
  ep_say("after the read", ep, 0);
  close(s);
  wait_mask(c, POLLRDHUP, POLLRDHUP);
  ep_say("closed", ep, 100);
}

static inline void after_connect(uint32_t flags) {
  int l = listen_on(0, 8), c = client_socket(SOCK_NONBLOCK), ep = ep_new();
  CALL(connect_to(c, port));
  ep_ctl(ep, EPOLL_CTL_ADD, c, EPOLLIN | EPOLLOUT | EPOLLRDHUP | flags, 0xfedcba9876543210ull);
  ep_say("connected", ep, 30000);
  int s = accept(l, NULL, NULL);
  say("accepted: %d", s >= 0);
  write_all(s, 100, 0, 100);
  wait_mask(c, POLLIN, POLLIN);
  ep_ctl(ep, EPOLL_CTL_MOD, c, EPOLLIN | flags, 5);
  ep_say("data", ep, 30000);
  ep_ctl(ep, EPOLL_CTL_DEL, c, 0, 0);
  ep_say("deleted", ep, 0);
}

/* epoll(7): a short read means that there is no more; who waits for the next edge then (nginx) must get one. The
 * same of a short write. Both ends in one loop, each moving only when an edge said so. */
static inline void edge_both_ways(size_t write_size, size_t read_size) {
  enum { TOTAL = 3000000 };
  int s, c, ep = ep_new();
  uint8_t *out = malloc(write_size), *in = malloc(read_size);
  size_t sent = 0, got = 0;
  bool may_write = false, may_read = false;
  pair(&s, &c);
  set_nonblock(s, true);
  set_nonblock(c, true);
  ep_ctl(ep, EPOLL_CTL_ADD, c, EPOLLOUT | EPOLLET, 1);
  ep_ctl(ep, EPOLL_CTL_ADD, s, EPOLLIN | EPOLLRDHUP | EPOLLET, 2);
  while (got < TOTAL) {
    struct epoll_event ev[2];
    int n = epoll_wait(ep, ev, 2, may_write || may_read ? 0 : 5000);
    if (n == 0 && !may_write && !may_read) {
      say("no edge came; sent all: %d, got all: %d", sent == TOTAL, got == TOTAL);
      return;
    }
    for (int i = 0; i < n; i++) {
      may_write |= ev[i].data.u64 == 1;
      may_read |= ev[i].data.u64 == 2;
    }
    if (may_write && sent < TOTAL) {
      size_t want = TOTAL - sent < write_size ? TOTAL - sent : write_size;
      fill(out, want, sent);
      ssize_t w = write(c, out, want);
      sent += w > 0 ? (size_t)w : 0;
      may_write = w == (ssize_t)want;
    }
    may_write = may_write && sent < TOTAL;
    if (may_read) {
      ssize_t r = read(s, in, read_size);
      if (r > 0 && !same(in, (size_t)r, got))
        give_up("wrong bytes");
      got += r > 0 ? (size_t)r : 0;
      may_read = r == (ssize_t)read_size;
    }
  }
  say("sent %zu, got %zu", sent, got);
}

#endif
