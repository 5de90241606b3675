/* SPDX-License-Identifier: Apache-2.0 */
#include "unsent.h"

SCENARIO("Data for who closed with bytes unsent: is the connection reset, as over TCP?") {
  int s, c;
  uint8_t b[50000];
  ssize_t n;
  pair(&s, &c);
  write_until_full(c);
  CALL(close(c));
  CALL(write(s, "who is there?", 13));
  nap(100);
  do {
    n = read(s, b, sizeof b);
  } while (n > 0);
  say("ends with %zd %s", n, n < 0 ? errno_name(errno) : "0");
  CALL(send(s, b, 1, MSG_NOSIGNAL));
  CALL(close(s));
}
