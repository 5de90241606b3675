/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO(
    "A socket made before fork() is used by one process only, whichever it is: does it work as if it were its own?") {
  int l = listen_on(0, 8), ep = epoll_create1(0);
  char b[10];
  for (int child = 0; child < 2; child++) {
    int c = client_socket(SOCK_NONBLOCK);
    struct epoll_event e = {.events = EPOLLOUT, .data.u64 = 77};
    CALL(epoll_ctl(ep, EPOLL_CTL_ADD, c, &e));
    pid_t kid = fork();
    if ((kid == 0) != child) {
      if (kid == 0)
        _exit(0);
      close(c);
      child_status(kid);
      continue;
    }
    role(child ? "child" : "parent");
    CALL(send(c, "x", 1, MSG_NOSIGNAL));
    CALL(recv(c, b, 1, 0));
    CALL(connect_to(c, port));
    int s = accept(l, NULL, NULL);
    wait_mask(c, POLLOUT, POLLOUT);
    CALL(epoll_wait(ep, &e, 1, 1000));
    say("data %llu mask %x", (unsigned long long)e.data.u64, e.events);
    int d = dup(c);
    say("wrote %zu", write_all(d, 1000, 0, 100));
    say("read %zu", read_all(s, 1000, 0, 1000));
    close(d);
    close(c);
    CALL(read(s, b, 1));
    close(s);
    if (kid == 0)
      _exit(0);
    child_status(kid);
    role("main");
  }
}
