/* SPDX-License-Identifier: Apache-2.0 */
#include "badinput.h"

SCENARIO("Is what stands before a hole in a large buffer written?") {
  int s, c;
  const size_t pages = 256;
  char *p = before_a_hole(pages), end;
  pair(&s, &c);
  set_nonblock(c, true);
  fill(p, pages * 4096, 0);
  ssize_t n = write(c, p, pages * 4096 + 100);
  say("some of it %d", n > 0 && n <= (ssize_t)(pages * 4096));
  say("it is all there %d", read_all(s, (size_t)n, 0, 65536) == (size_t)n);
  CALL(recv(s, &end, 1, MSG_DONTWAIT));
  CALL(write(c, p + pages * 4096 - 100, 200));
  say_alive(s, c);
}
