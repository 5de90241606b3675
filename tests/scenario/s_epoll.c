/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s_epoll.c - epoll: level, edge, one-shot, exclusive; registered before and after connect() and listen().
 */
#include "scenario.h"

static int ep_new(void) { return epoll_create1(EPOLL_CLOEXEC); }

static void ep_ctl(int ep, int op, int fd, uint32_t events, uint64_t tag) {
  struct epoll_event ev = {.events = events, .data.u64 = tag};
  if (epoll_ctl(ep, op, fd, &ev) != 0)
    say("epoll_ctl: %s", errno_name(errno));
}

/* One event at most: its mask and tag. */
static uint32_t ep_say(const char *what, int ep, int ms) {
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

static void epoll_level(void) {
  int s, c, ep = ep_new();
  char buf[100];
  pair(&s, &c);
  ep_ctl(ep, EPOLL_CTL_ADD, s, EPOLLIN | EPOLLRDHUP, 0x1234567890abcdefull);
  ep_say("idle", ep, 0);
  write_all(c, 50, 0, 50);
  ep_say("data", ep, 10000);
  ep_say("data again", ep, 0);
  CALL(read(s, buf, 20));
  ep_say("some left", ep, 0);
  CALL(read(s, buf, 100));
  ep_say("drained", ep, 0);
  ep_ctl(ep, EPOLL_CTL_MOD, s, EPOLLOUT, 2);
  ep_say("out", ep, 0);
  ep_ctl(ep, EPOLL_CTL_ADD, s, EPOLLOUT, 2);
  ep_ctl(ep, EPOLL_CTL_DEL, s, 0, 0);
  ep_say("deleted", ep, 0);
  ep_ctl(ep, EPOLL_CTL_MOD, s, EPOLLOUT, 2);
  ep_ctl(ep, EPOLL_CTL_ADD, s, EPOLLIN | EPOLLRDHUP, 3);
  close(c);
  wait_mask(s, POLLIN | POLLRDHUP, POLLRDHUP);
  ep_say("closed", ep, 0);
  close(s);
  ep_say("gone", ep, 0);
}

static void epoll_edge(void) {
  int s, c, ep = ep_new();
  char buf[100];
  pair(&s, &c);
  ep_ctl(ep, EPOLL_CTL_ADD, s, EPOLLIN | EPOLLET, 1);
  ep_say("idle", ep, 0);
  write_all(c, 50, 0, 50);
  ep_say("first", ep, 10000);
  ep_say("not again", ep, 50);
  CALL(read(s, buf, 10));
  ep_say("nothing new", ep, 50);
  write_all(c, 50, 50, 50);
  ep_say("more", ep, 10000);
  CALL(recv(s, buf, 90, MSG_WAITALL));
  CALL(recv(s, buf, 90, MSG_DONTWAIT));
  write_all(c, 1, 0, 1);
  ep_say("one byte", ep, 10000);
  CALL(recv(s, buf, 90, MSG_DONTWAIT));
  ep_ctl(ep, EPOLL_CTL_MOD, s, EPOLLIN | EPOLLOUT | EPOLLET, 2);
  ep_say("out edge by MOD", ep, 0);
  ep_say("no edge", ep, 50);
  close(c);
  uint32_t m = 0;
  for (int i = 0; i < 100 && !(m & EPOLLIN); i++) {
    struct epoll_event ev;
    m |= epoll_wait(ep, &ev, 1, 100) == 1 ? ev.events : 0;
  }
  say("the end is an edge: %d", (m & EPOLLIN) != 0);
  CALL(read(s, buf, 10));
}

static void epoll_oneshot(void) {
  int s, c, ep = ep_new();
  char buf[100];
  pair(&s, &c);
  ep_ctl(ep, EPOLL_CTL_ADD, s, EPOLLIN | EPOLLONESHOT, 1);
  write_all(c, 50, 0, 50);
  ep_say("fired", ep, 10000);
  ep_say("disarmed", ep, 50);
  ep_ctl(ep, EPOLL_CTL_MOD, s, EPOLLIN | EPOLLONESHOT, 2);
  ep_say("armed again", ep, 10000);
  CALL(read(s, buf, 100));
  ep_ctl(ep, EPOLL_CTL_MOD, s, EPOLLIN | EPOLLET | EPOLLONESHOT, 3);
  ep_say("nothing", ep, 0);
  write_all(c, 50, 0, 50);
  ep_say("fired", ep, 10000);
  write_all(c, 50, 0, 50);
  ep_say("disarmed", ep, 50);
}

static void accept_by_epoll(uint32_t flags) {
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
static void epoll_listener_level(void) { accept_by_epoll(0); }
static void epoll_listener_edge(void) { accept_by_epoll(EPOLLET); }

/* Workers that share a listener, each with an exclusive registration: every client is served. */
static void epoll_exclusive(void) {
  int l = listen_on(SOCK_NONBLOCK, 32);
  pid_t kid[3];
  for (int i = 0; i < 3; i++) {
    if ((kid[i] = fork()) != 0)
      continue;
    int ep = ep_new();
    ep_ctl(ep, EPOLL_CTL_ADD, l, EPOLLIN | EPOLLEXCLUSIVE, 1);
    for (;;) {
      struct epoll_event ev;
      if (epoll_wait(ep, &ev, 1, 8000) <= 0)
        _exit(1);
      int s = accept(l, NULL, NULL);
      if (s < 0)
        continue;
      char q;
      if (read(s, &q, 1) == 1 && q == 'q')
        _exit(0);
      write_all(s, 100, 0, 100);
      close(s);
    }
  }
  size_t good = 0;
  for (int i = 0; i < 12 + 3; i++) {
    int c = client_socket(0);
    if (connect_to(c, port) != 0)
      give_up("connect");
    if (write(c, i < 12 ? "x" : "q", 1) == 1 && i < 12)
      good += read_all(c, 100, 0, 100) == 100;
    close(c);
  }
  say("served %zu", good);
  for (int i = 0; i < 3; i++)
    child_status(kid[i]);
}

static void before_connect(uint32_t flags) {
  int l = listen_on(0, 8), c = client_socket(SOCK_NONBLOCK), ep = ep_new();
  ep_ctl(ep, EPOLL_CTL_ADD, c, EPOLLIN | EPOLLOUT | EPOLLRDHUP | flags, 0xabcdef);
  CALL(connect_to(c, port));
  ep_say("connected", ep, 10000);
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
static void epoll_before_connect(void) { before_connect(0); }
static void epoll_before_connect_edge(void) { before_connect(EPOLLET); }
static void epoll_before_connect_oneshot(void) { before_connect(EPOLLONESHOT); }

static void after_connect(uint32_t flags) {
  int l = listen_on(0, 8), c = client_socket(SOCK_NONBLOCK), ep = ep_new();
  CALL(connect_to(c, port));
  ep_ctl(ep, EPOLL_CTL_ADD, c, EPOLLIN | EPOLLOUT | EPOLLRDHUP | flags, 0xfedcba9876543210ull);
  ep_say("connected", ep, 10000);
  int s = accept(l, NULL, NULL);
  say("accepted: %d", s >= 0);
  write_all(s, 100, 0, 100);
  wait_mask(c, POLLIN, POLLIN);
  ep_ctl(ep, EPOLL_CTL_MOD, c, EPOLLIN | flags, 5);
  ep_say("data", ep, 10000);
  ep_ctl(ep, EPOLL_CTL_DEL, c, 0, 0);
  ep_say("deleted", ep, 0);
}
static void epoll_after_connect(void) { after_connect(0); }
static void epoll_after_connect_edge(void) { after_connect(EPOLLET); }
static void epoll_after_connect_oneshot(void) { after_connect(EPOLLONESHOT); }

/* A socket that is not connected yet says OUT|HUP; the connection must not be announced too early. */
static void epoll_unconnected(void) {
  int l = listen_on(0, 8), c = client_socket(SOCK_NONBLOCK), ep = ep_new();
  ep_ctl(ep, EPOLL_CTL_ADD, c, EPOLLIN | EPOLLOUT, 1);
  ep_say("not connected", ep, 0);
  CALL(connect_to(c, port));
  ep_say("connected", ep, 10000);
  CALL(write(c, "x", 1));
  CALL(write(c, "y", 1));
  char buf[4];
  int s = accept(l, NULL, NULL);
  CALL(recv(s, buf, 2, MSG_WAITALL));
}

/* MOD, DEL and a second set while the connection is still being made. */
static void epoll_ctl_while_pending(void) {
  int l = listen_on(0, 8), c = client_socket(SOCK_NONBLOCK), ep = ep_new(), ep2 = ep_new();
  ep_ctl(ep, EPOLL_CTL_ADD, c, EPOLLIN, 1);
  CALL(connect_to(c, port));
  ep_ctl(ep, EPOLL_CTL_MOD, c, EPOLLOUT, 2);
  ep_ctl(ep, EPOLL_CTL_ADD, c, EPOLLOUT, 3);
  ep_ctl(ep2, EPOLL_CTL_ADD, c, EPOLLOUT, 4);
  ep_say("first set", ep, 10000);
  ep_say("second set", ep2, 10000);
  ep_ctl(ep, EPOLL_CTL_DEL, c, 0, 0);
  ep_ctl(ep, EPOLL_CTL_DEL, c, 0, 0);
  ep_say("first set, deleted", ep, 0);
  ep_say("second set", ep2, 0);
  close(c);
  ep_say("second set, closed", ep2, 0);
  close(l);
}

static void epoll_listener_before_listen(void) {
  int one = 1, l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), ep = ep_new();
  struct sockaddr_in a = at_port(port);
  ep_ctl(ep, EPOLL_CTL_ADD, l, EPOLLIN, 0x77);
  setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  CALL(bind(l, (struct sockaddr *)&a, sizeof a));
  CALL(listen(l, 8));
  ep_say("idle", ep, 0);
  int c = client_socket(0);
  CALL(connect_to(c, port));
  ep_say("client", ep, 10000);
  int s = accept(l, NULL, NULL);
  say("accepted: %d", s >= 0);
  ep_say("idle", ep, 0);
  ep_ctl(ep, EPOLL_CTL_MOD, l, EPOLLIN | EPOLLET, 0x78);
  ep_ctl(ep, EPOLL_CTL_DEL, l, 0, 0);
  ep_ctl(ep, EPOLL_CTL_DEL, l, 0, 0);
}

static void *waits(void *arg) {
  int ep = *(int *)arg;
  role("waiter");
  ep_say("woken", ep, 10000);
  return NULL;
}

/* A thread is in epoll_wait already when the connection is added. */
static void epoll_thread_waits(void) {
  int l = listen_on(0, 8), ep = ep_new(), c = client_socket(SOCK_NONBLOCK);
  pthread_t t = thread(waits, &ep);
  nap(50);
  CALL(connect_to(c, port));
  ep_ctl(ep, EPOLL_CTL_ADD, c, EPOLLOUT, 9);
  pthread_join(t, NULL);
  CALL(write(c, "x", 1));
  close(l);
}

/* An epoll set inside poll and inside another set. */
static void epoll_nested(void) {
  int l = listen_on(0, 8), inner = ep_new(), outer = ep_new(), c = client_socket(SOCK_NONBLOCK);
  ep_ctl(outer, EPOLL_CTL_ADD, inner, EPOLLIN, 1);
  CALL(connect_to(c, port));
  ep_ctl(inner, EPOLL_CTL_ADD, c, EPOLLOUT, 2);
  ep_say("outer", outer, 10000);
  ep_say("inner", inner, 10000);
  say_poll("inner", inner, POLLIN, 0);
  close(l);
}

/* epoll(7): a short read means that there is no more; who waits for the next edge then (nginx) must get one. The
 * same of a short write. Both ends in one loop, each moving only when an edge said so. */
static void edge_both_ways(size_t write_size, size_t read_size) {
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
static void epoll_edges_big(void) { edge_both_ways(200000, 65536); }
static void epoll_edges_small_writes(void) { edge_both_ways(1000, 65536); }
static void epoll_edges_small_reads(void) { edge_both_ways(100000, 4096); }
static void epoll_edges_odd(void) { edge_both_ways(16385, 16384); }

/* nginx asks FIONREAD after a read that filled its buffer, and takes it for a promise: once it has read that many
 * bytes or more it waits for an edge. A number that is too small makes it wait for ever. */
static void epoll_edges_fionread(void) {
  enum { TOTAL = 2000000, SIZE = 4096 };
  int s, c, ep = ep_new(), available = -1;
  static uint8_t in[SIZE], out[60000];
  size_t sent = 0, got = 0;
  bool ready = false;
  pair(&s, &c);
  set_nonblock(s, true);
  set_nonblock(c, true);
  ep_ctl(ep, EPOLL_CTL_ADD, s, EPOLLIN | EPOLLRDHUP | EPOLLET, 2);
  while (got < TOTAL) {
    while (sent < TOTAL) {
      size_t want = TOTAL - sent < sizeof out ? TOTAL - sent : sizeof out;
      fill(out, want, sent);
      ssize_t w = write(c, out, want);
      if (w <= 0)
        break;
      sent += (size_t)w;
    }
    struct epoll_event ev;
    if (!ready) {
      if (epoll_wait(ep, &ev, 1, 5000) != 1) {
        say("no edge came; sent all: %d, got all: %d", sent == TOTAL, got == TOTAL);
        return;
      }
      ready = true;
      available = -1;
    }
    if (available == 0) {
      ready = false;
      continue;
    }
    ssize_t r = read(s, in, SIZE);
    if (r > 0 && !same(in, (size_t)r, got))
      give_up("wrong bytes");
    got += r > 0 ? (size_t)r : 0;
    ready = r == SIZE;
    if (ready && available < 0) {
      ioctl(s, FIONREAD, &available);
    } else if (ready) {
      available -= SIZE;
      ready = available >= 0;
    }
  }
  say("got %zu", got);
}

const struct scenario s_epoll[] = {{"epoll_level", epoll_level},
                                   {"epoll_edge", epoll_edge},
                                   {"epoll_oneshot", epoll_oneshot},
                                   {"epoll_listener_level", epoll_listener_level},
                                   {"epoll_listener_edge", epoll_listener_edge},
                                   {"epoll_exclusive", epoll_exclusive},
                                   {"epoll_before_connect", epoll_before_connect},
                                   {"epoll_before_connect_edge", epoll_before_connect_edge},
                                   {"epoll_before_connect_oneshot", epoll_before_connect_oneshot},
                                   {"epoll_after_connect", epoll_after_connect},
                                   {"epoll_after_connect_edge", epoll_after_connect_edge},
                                   {"epoll_after_connect_oneshot", epoll_after_connect_oneshot},
                                   {"epoll_unconnected", epoll_unconnected},
                                   {"epoll_ctl_while_pending", epoll_ctl_while_pending},
                                   {"epoll_listener_before_listen", epoll_listener_before_listen},
                                   {"epoll_thread_waits", epoll_thread_waits},
                                   {"epoll_nested", epoll_nested},
                                   {"epoll_edges_big", epoll_edges_big},
                                   {"epoll_edges_small_writes", epoll_edges_small_writes},
                                   {"epoll_edges_small_reads", epoll_edges_small_reads},
                                   {"epoll_edges_odd", epoll_edges_odd},
                                   {"epoll_edges_fionread", epoll_edges_fionread},
                                   {NULL, NULL}};
