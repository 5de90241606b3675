/* SPDX-License-Identifier: Apache-2.0 */
#include "threads.h"

/* Natively a number that is closed while others wait on it: they wait on. Only what each wait ends with is said. */
static int s, c, ep;

static void *in_poll(void *arg) {
  struct pollfd p = {.fd = s, .events = POLLIN};
  return (void *)(intptr_t)(poll(&p, 1, 2000) + 10 + (arg != NULL));
}
static void *in_epoll(void *arg) {
  struct epoll_event ev;
  return (void *)(intptr_t)(epoll_wait(ep, &ev, 1, 2000) + 10 + (arg != NULL));
}
static void *in_write(void *arg) {
  static char b[8 << 20];
  signal(SIGPIPE, SIG_IGN);
  ssize_t n = write(c, b, sizeof b);
  return (void *)(intptr_t)(n > 0 && n < (ssize_t)sizeof b ? 1 : 2 + (arg != NULL));
}

SCENARIO("What do poll(), epoll_wait() and write() answer when another thread closes or shuts the socket?") {
  struct epoll_event ev = {.events = EPOLLIN};
  void *r;
  pair(&s, &c);
  pthread_t t = thread(in_poll, NULL);
  until_asleep(newest_thread);
  CALL(close(s));
  pthread_join(t, &r);
  say("poll %d", (int)(intptr_t)r - 10);
  close(c);
  pair(&s, &c);
  ep = epoll_create1(0);
  epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev);
  t = thread(in_epoll, NULL);
  until_asleep(newest_thread);
  CALL(close(s));
  pthread_join(t, &r);
  say("epoll_wait %d", (int)(intptr_t)r - 10);
  close(c);
  pair(&s, &c);
  t = thread(in_write, NULL);
  poll_for(s, POLLIN, 30000); /* it is in its write() when bytes of it have come */
  CALL(shutdown(c, SHUT_RDWR));
  pthread_join(t, &r);
  say("write ended early %d", r == (void *)1);
  close(c);
  close(s);
  pair(&s, &c);
  t = thread(in_write, NULL);
  poll_for(s, POLLIN, 30000);
  struct linger l = {1, 0};
  setsockopt(s, SOL_SOCKET, SO_LINGER, &l, sizeof l);
  CALL(close(s));
  pthread_join(t, &r);
  say("write ended early %d", r == (void *)1);
}
