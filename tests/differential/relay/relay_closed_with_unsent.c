/* SPDX-License-Identifier: Apache-2.0 */
#include "../ends/unsent.h"

SCENARIO("A relayed connection is closed with bytes unsent, and its peer ends its own side: does all come?") {
  int s, c;
  char b[10];
  pair(&s, &c);
  say("printed %d", dprintf(c, "%s", "x"));
  CALL(read(s, b, 1));
  size_t wrote = write_until_full(c);
  CALL(close(c));
  CALL(shutdown(s, SHUT_WR));
  say_all_came(s, wrote);
  CALL(close(s));
}
