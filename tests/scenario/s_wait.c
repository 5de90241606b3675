/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s_wait.c - poll and select: masks before, during and after a connection, and while data waits.
 */
#include "scenario.h"

static void poll_masks(void) {
  int s, c;
  char buf[200];
  const short all = POLLIN | POLLOUT | POLLPRI | POLLRDHUP;
  pair(&s, &c);
  say_poll("fresh client", c, all, 0);
  say_poll("fresh server", s, all, 0);
  write_all(c, 100, 0, 100);
  say_wait("server, 100 bytes", s, POLLIN);
  say_poll("server", s, all, 0);
  CALL(read(s, buf, 1));
  say_poll("server, 99 left", s, all, 0);
  CALL(read(s, buf, 98));
  say_poll("server, 1 left", s, all, 0);
  CALL(read(s, buf, 100));
  say_poll("server, drained", s, all, 0);
  shutdown(c, SHUT_WR);
  wait_mask(s, all, POLLRDHUP);
  say_poll("server, peer shut", s, all, 0);
  CALL(read(s, buf, 100));
  say_poll("server, end read", s, all, 0);
  shutdown(s, SHUT_WR);
  say_poll("server, both shut", s, all, 0);
  wait_mask(c, all, POLLHUP);
  say_poll("client, both shut", c, all, 0);
  say_poll("server, nothing asked", s, 0, 0);
}

static void poll_many(void) {
  int s, c, l;
  pair_keep(&l, &s, &c);
  struct pollfd p[5] = {{.fd = l, .events = POLLIN},
                        {.fd = s, .events = POLLIN},
                        {.fd = c, .events = POLLIN | POLLOUT},
                        {.fd = -1, .events = POLLIN},
                        {.fd = 9999, .events = POLLIN}};
  CALL(poll(p, 4, 0));
  for (int i = 0; i < 4; i++)
    say("%d: %d", i, p[i].revents);
  write_all(c, 1, 0, 1);
  wait_mask(s, POLLIN, POLLIN);
  CALL(poll(p, 5, 5000));
  for (int i = 0; i < 5; i++)
    say("%d: %d", i, p[i].revents);
  p[2].events = 0;
  CALL(poll(&p[2], 1, 30));
  CALL(poll(NULL, 0, 10));
  CALL(poll(p, 1, 30));
}

static void say_set(const char *name, fd_set *set, const int *fds, size_t n) {
  char line[64] = "";
  for (size_t i = 0; i < n; i++)
    strcat(line, FD_ISSET(fds[i], set) ? "1" : "0");
  say("%s %s", name, line);
}

static void select_sets(void) {
  int f[3]; /* listener, server, client */
  pair_keep(&f[0], &f[1], &f[2]);
  fd_set r, w, e;
  int top = 64;
  for (int round = 0; round < 3; round++) {
    FD_ZERO(&r);
    FD_ZERO(&w);
    FD_ZERO(&e);
    for (int i = 0; i < 3; i++) {
      FD_SET(f[i], &r);
      FD_SET(f[i], &w);
      FD_SET(f[i], &e);
    }
    struct timeval t = {0, 0};
    CALL(select(top, &r, &w, &e, &t));
    say_set("read", &r, f, 3);
    say_set("write", &w, f, 3);
    say_set("except", &e, f, 3);
    if (round == 0) {
      write_all(f[2], 10, 0, 10);
      wait_mask(f[1], POLLIN, POLLIN);
    } else {
      shutdown(f[1], SHUT_WR);
      wait_mask(f[2], POLLIN, POLLIN);
    }
  }
  FD_ZERO(&r);
  FD_SET(f[0], &r);
  struct timeval t = {0, 20000};
  CALL(select(top, &r, NULL, NULL, &t));
  say("left %ld.%06ld", (long)t.tv_sec, (long)t.tv_usec);
}

static void select_connect(void) {
  int l = listen_on(SOCK_NONBLOCK, 8), c = client_socket(SOCK_NONBLOCK);
  fd_set r, w;
  FD_ZERO(&r);
  FD_ZERO(&w);
  CALL(connect_to(c, port));
  FD_SET(c, &w);
  struct timeval t = {10, 0};
  CALL(select(c + 1, NULL, &w, NULL, &t));
  say("writable: %d", FD_ISSET(c, &w) != 0);
  FD_SET(l, &r);
  t = (struct timeval){10, 0};
  CALL(select(l + 1, &r, NULL, NULL, &t));
  say("listener readable: %d", FD_ISSET(l, &r) != 0);
  int x = accept(l, NULL, NULL);
  say("accepted: %d", x >= 0);
  write_all(x, 10, 0, 10);
  FD_ZERO(&r);
  FD_SET(c, &r);
  struct timespec ts = {10, 0};
  CALL(pselect(c + 1, &r, NULL, NULL, &ts, NULL));
  say("client readable: %d", FD_ISSET(c, &r) != 0);
}

static void on_signal(int sig) { (void)sig; }

/* ppoll and pselect open the mask for the wait only. */
static void masks_during_wait(void) {
  int s, c;
  pair(&s, &c);
  struct sigaction sa = {.sa_handler = on_signal};
  sigset_t block, open;
  sigaction(SIGUSR1, &sa, NULL);
  sigemptyset(&block);
  sigaddset(&block, SIGUSR1);
  sigprocmask(SIG_BLOCK, &block, &open);
  sigdelset(&open, SIGUSR1);
  struct pollfd p = {.fd = s, .events = POLLIN};
  struct timespec t = {5, 0};
  raise(SIGUSR1);
  CALL(ppoll(&p, 1, &t, &open));
  raise(SIGUSR1);
  fd_set r;
  FD_ZERO(&r);
  FD_SET(s, &r);
  CALL(pselect(s + 1, &r, NULL, NULL, &t, &open));
  raise(SIGUSR1);
  struct timespec none = {0, 1000000};
  CALL(ppoll(&p, 1, &none, NULL));
  int ep = epoll_create1(0);
  struct epoll_event ev = {.events = EPOLLIN};
  epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev);
  CALL(epoll_pwait(ep, &ev, 1, 5000, &open));
  write_all(c, 1, 0, 1);
  CALL(ppoll(&p, 1, &t, &open));
  say("revents %d", p.revents);
}

/* Each direction in one loop, with nothing but poll to say who may go. */
static void poll_echo(void) {
  int s, c;
  const size_t total = 3000000;
  size_t sent = 0, echoed = 0, back = 0, held = 0;
  static uint8_t in[70000], ring[70000];
  pair(&s, &c);
  set_nonblock(s, true);
  set_nonblock(c, true);
  for (int turns = 0; back < total && turns < 1000000; turns++) {
    struct pollfd p[2] = {{.fd = s, .events = (short)(held ? POLLOUT : POLLIN)},
                          {.fd = c, .events = (short)(POLLIN | (sent < total ? POLLOUT : 0))}};
    if (poll(p, 2, 10000) <= 0)
      give_up("poll");
    if (p[1].revents & POLLOUT) {
      size_t n = total - sent < 50001 ? total - sent : 50001;
      fill(in, n, sent);
      ssize_t w = write(c, in, n);
      sent += w > 0 ? (size_t)w : 0;
    }
    if (p[0].revents & POLLIN) {
      ssize_t r = read(s, ring, sizeof ring);
      held = r > 0 ? (size_t)r : 0;
    }
    if (held && (p[0].revents & POLLOUT)) {
      ssize_t w = write(s, ring, held);
      if (w > 0) {
        memmove(ring, ring + w, held - (size_t)w);
        held -= (size_t)w;
        echoed += (size_t)w;
      }
    }
    if (p[1].revents & POLLIN) {
      ssize_t r = read(c, in, 33333);
      if (r > 0 && !same(in, (size_t)r, back))
        give_up("wrong bytes");
      back += r > 0 ? (size_t)r : 0;
    }
  }
  say("sent %zu, echoed %zu, back %zu", sent, echoed, back);
}

const struct scenario s_wait[] = {{"poll_masks", poll_masks},
                                  {"poll_many", poll_many},
                                  {"select_sets", select_sets},
                                  {"select_connect", select_connect},
                                  {"masks_during_wait", masks_during_wait},
                                  {"poll_echo", poll_echo},
                                  {NULL, NULL}};
