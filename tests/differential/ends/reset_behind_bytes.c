/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

static int s, c;

static void end_by_reset(void) {
  struct linger hard = {1, 0};
  setsockopt(s, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close(s);
}

static void bytes_and_reset(size_t n) {
  pair(&s, &c);
  write_all(s, n, 0, n);
  end_by_reset();
  wait_mask(c, POLLHUP, POLLHUP);
}

/* The reader has what there is and waits for more; then the reset comes. */
static void *reader(void *arg) {
  char b[100];
  role("reader");
  CALL(recv(c, b, sizeof b, MSG_WAITALL));
  (void)arg;
  return NULL;
}

static void who_is_told(void) {
  int e = -1, epfd = epoll_create1(0);
  socklen_t len = sizeof e;
  char text[64];
  struct epoll_event ev = {.events = EPOLLRDHUP};
  epoll_ctl(epfd, EPOLL_CTL_ADD, c, &ev);
  CALL(epoll_wait(epfd, &ev, 1, 0));
  say("epoll: %s", mask_name((short)ev.events, text));
  say_poll("after the bytes", c, POLLIN | POLLOUT, 0);
  CALL(getsockopt(c, SOL_SOCKET, SO_ERROR, &e, &len));
  say("SO_ERROR %s", errno_name(e));
  say_poll("after SO_ERROR", c, POLLIN | POLLOUT, 0);
  close(epfd);
  close(c);
}

SCENARIO("A read takes the bytes before a reset: is the error still there for who asks next, poll and epoll too?") {
  static char b[100000];
  struct iovec two[2] = {{b, 10}, {b + 10, 90}};
  bytes_and_reset(64);
  CALL(recv(c, b, 1000, MSG_WAITALL));
  who_is_told();
  bytes_and_reset(64);
  CALL(recv(c, b, 10, 0));
  CALL(readv(c, two, 2));
  who_is_told();
  bytes_and_reset(60000);
  CALL(recv(c, b, sizeof b, MSG_WAITALL));
  who_is_told();
  bytes_and_reset(64);
  CALL(recv(c, b, 10, MSG_PEEK));
  CALL(recv(c, b, 1000, 0));
  who_is_told();
  pair(&s, &c);
  write_all(s, 64, 0, 64);
  pthread_t t = thread(reader, NULL);
  until_asleep(newest_thread);
  end_by_reset();
  pthread_join(t, NULL);
  who_is_told();
}
