/* SPDX-License-Identifier: Apache-2.0 */
#include "stress.h"

SCENARIO("All connect before any is accepted: does an edge-triggered listener see them all?") {
  int l = listen_on(SOCK_NONBLOCK, 128), ep = epoll_create1(0), c[60], got = 0;
  struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
  epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev);
  for (int i = 0; i < 60; i++) {
    c[i] = client_socket(SOCK_NONBLOCK);
    if (connect_to(c[i], port) != 0 && errno != EINPROGRESS)
      say("connect: %s", errno_name(errno));
  }
  while (got < 60 && epoll_wait(ep, &ev, 1, 8000) == 1) {
    while (accept(l, NULL, NULL) >= 0)
      got++;
  }
  int up = 0;
  for (int i = 0; i < 60; i++)
    up += (poll_for(c[i], POLLOUT, 5000) & (POLLOUT | POLLERR)) == POLLOUT;
  say("accepted %d, connected %d", got, up);
}
