/* SPDX-License-Identifier: Apache-2.0 */
#include "unsent.h"

SCENARIO("The peer of who closed with bytes unsent reads some, ends its own side, and reads on: does all come?") {
  int s, c;
  char b[10];
  pair(&s, &c);
  size_t wrote = write_until_full(c);
  CALL(close(c));
  size_t got = read_all(s, 100000, 0, 1000);
  nap(50);
  CALL(shutdown(s, SHUT_WR));
  nap(50);
  got += read_all(s, wrote - got, got, 7000);
  say("all came: %d", got == wrote);
  say_wait("the reader", s, POLLHUP);
  CALL(read(s, b, sizeof b));
  say_error(s);
  CALL(close(s));
}
