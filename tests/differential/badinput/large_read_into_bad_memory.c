/* SPDX-License-Identifier: Apache-2.0 */
#include "badinput.h"

SCENARIO("Does a bulk read into bad memory lose nothing?") {
  int s, c;
  size_t at = 0;
  char *edge = before_a_hole(20), *big = before_a_hole(40);
  pair(&s, &c);
  fill(big, 40 * 4096, 0);
  set_nonblock(c, true);
  size_t sent = (size_t)write(c, big, 40 * 4096);
  wait_mask(s, POLLIN, POLLIN);
  for (int i = 0; i < 3; i++)
    CALL(recv(s, nowhere(), 100000, MSG_DONTWAIT));
  nap(50);
  while (at < sent) {
    ssize_t n = read(s, edge, 20 * 4096 - at % 1000);
    if (n <= 0 || !same(edge, (size_t)n, at))
      break;
    at += (size_t)n;
    if (recv(s, nowhere(), 10, MSG_DONTWAIT) != -1 || errno != (at < sent ? EFAULT : EAGAIN))
      break;
  }
  say("all %d", at == sent);
  say_alive(s, c);
}
