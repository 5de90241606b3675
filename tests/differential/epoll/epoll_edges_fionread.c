/* SPDX-License-Identifier: Apache-2.0 */
#include "epoll.h"

/* nginx asks FIONREAD after a read that filled its buffer, and takes it for a promise: once it has read that many
 * bytes or more it waits for an edge. A number that is too small makes it wait for ever. */
SCENARIO(
    "A program that takes FIONREAD for a promise and then waits for an edge (nginx): does it ever wait for ever?") {
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
