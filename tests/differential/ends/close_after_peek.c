/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("Is a close that leaves data a reset, where a peek has seen the data and the end behind it?") {
  int s, c;
  char b[100];
  pair(&s, &c);
  CALL(write(c, "data", 4));
  CALL(shutdown(c, SHUT_WR));
  wait_mask(s, POLLRDHUP, POLLRDHUP);
  CALL(recv(s, b, sizeof b, MSG_PEEK));
  CALL(recv(s, b, sizeof b, MSG_PEEK));
  CALL(close(s));
  wait_mask(c, POLLHUP, POLLHUP);
  CALL(read(c, b, sizeof b));
}
