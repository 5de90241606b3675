/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("Can a loop with nothing but poll() carry both directions?") {
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
