/* SPDX-License-Identifier: Apache-2.0 */
#include "badinput.h"

SCENARIO("Does a short message fit in front of a hole?") {
  int s, c;
  char *edge = before_a_hole(1);
  pair(&s, &c);
  write_all(c, 50, 0, 50);
  wait_mask(s, POLLIN, POLLIN);
  CALL(read(s, edge + 4000, 5000));
  say("same %d", same(edge + 4000, 50, 0));
  write_all(c, 40, 50, 40);
  wait_mask(s, POLLIN, POLLIN);
  CALL(readv(s, (struct iovec[]){{edge, 40}, {nowhere(), 50}}, 2));
  say("same %d", same(edge, 40, 50));
  shutdown(c, SHUT_WR);
  CALL(read(s, nowhere(), 10));
}
