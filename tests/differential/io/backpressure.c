/* SPDX-License-Identifier: Apache-2.0 */
#include "io.h"

SCENARIO("Does a non-blocking writer meet EAGAIN, and does all it wrote arrive?") {
  int s, c;
  pair(&s, &c);
  set_nonblock(c, true);
  size_t sent = fill_up(c, 0);
  say("full: %d", sent > 0);
  static char more_bytes[60000];
  CALL(write(c, more_bytes, sizeof more_bytes));
  say_poll("full", c, POLLOUT, 0);
  say("all there: %d", read_all(s, sent, 0, 65536) == sent);
  say_wait("drained", c, POLLOUT);
  size_t more = fill_up(c, sent);
  say("full again: %d", more > 0);
  say("all there: %d", read_all(s, more, sent, 1000) == more);
  CALL(close(c));
  char b;
  CALL(read(s, &b, 1));
}
