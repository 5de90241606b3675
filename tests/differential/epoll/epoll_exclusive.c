/* SPDX-License-Identifier: Apache-2.0 */
#include "epoll.h"

SCENARIO("Workers share a listener, each with an exclusive registration: is every client served?") {
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
