/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO(
    "Does a read() that finds the end of the stream, or less than there is room for, leave the rest of the buffer?") {
  int s, c;
  char b[64];
  pair(&s, &c);
  memset(b, 'x', sizeof b);
  CALL(write(c, "hello", 5));
  CALL(read(s, b, sizeof b));
  say("%.64s", b);
  shutdown(c, SHUT_WR);
  memset(b, 'x', sizeof b);
  CALL(read(s, b, sizeof b));
  say("%.64s", b);
  CALL(recv(s, b, 1, 0));
  say("%.64s", b);
}
