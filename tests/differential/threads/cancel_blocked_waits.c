/* SPDX-License-Identifier: Apache-2.0 */
#include "threads.h"

static int l, s, c, ep;

static void *in_accept(void *arg) {
  accept(l, NULL, NULL);
  return arg;
}
static void *in_accept4(void *arg) {
  accept4(l, NULL, NULL, SOCK_CLOEXEC);
  return arg;
}
static void *in_poll(void *arg) {
  struct pollfd p = {.fd = s, .events = POLLIN};
  poll(&p, 1, -1);
  return arg;
}
static void *in_ppoll(void *arg) {
  struct pollfd p = {.fd = s, .events = POLLIN};
  ppoll(&p, 1, NULL, NULL);
  return arg;
}
static void *in_select(void *arg) {
  fd_set r;
  FD_ZERO(&r);
  FD_SET(s, &r);
  select(s + 1, &r, NULL, NULL, NULL);
  return arg;
}
static void *in_pselect(void *arg) {
  fd_set r;
  FD_ZERO(&r);
  FD_SET(s, &r);
  pselect(s + 1, &r, NULL, NULL, NULL, NULL);
  return arg;
}
static void *in_epoll(void *arg) {
  struct epoll_event ev;
  epoll_wait(ep, &ev, 1, -1);
  return arg;
}
static void *in_epoll_pwait(void *arg) {
  struct epoll_event ev;
  epoll_pwait(ep, &ev, 1, -1, NULL);
  return arg;
}

static void all(void) {
  cancel_in("poll", in_poll, NULL);
  cancel_in("ppoll", in_ppoll, NULL);
  cancel_in("select", in_select, NULL);
  cancel_in("pselect", in_pselect, NULL);
  cancel_in("epoll_wait", in_epoll, NULL);
  cancel_in("epoll_pwait", in_epoll_pwait, NULL);
}

SCENARIO("Can threads that wait be cancelled, and does everything go on?") {
  struct epoll_event ev = {.events = EPOLLIN};
  pair_keep(&l, &s, &c);
  ep = epoll_create1(0);
  epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev);
  all();
  int pending = client_socket(SOCK_NONBLOCK); /* while a connect is under way */
  connect_to(pending, dead_port);
  all();
  int kept = s;
  s = pending; /* and with it among them */
  ev.events = EPOLLIN;
  epoll_ctl(ep, EPOLL_CTL_ADD, pending, &ev);
  all();
  close(pending);
  s = kept;
  cancel_in("accept", in_accept, NULL);
  cancel_in("accept4", in_accept4, NULL);
  say("wrote %zu", write_all(c, 1000, 0, 100));
  say("read %zu", read_all(s, 1000, 0, 1000));
  int c2 = client_socket(0);
  connect_to(c2, port);
  int s2 = accept(l, NULL, NULL);
  say("wrote %zu", write_all(c2, 1000, 0, 100));
  say("read %zu", read_all(s2, 1000, 0, 1000));
}
