/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("Is data that comes after shutdown(SHUT_RD), and after a read said so, still read?") {
  int s, c;
  char b[100];
  pair(&s, &c);
  CALL(shutdown(s, SHUT_RD));
  CALL(read(s, b, sizeof b));
  for (int i = 0; i < 2; i++) {
    int n = 0;
    CALL(write(c, "some data", 9));
    for (int tries = 0; n == 0 && tries < 2000; tries++) {
      ioctl(s, FIONREAD, &n);
      nap(1);
    }
    CALL(read(s, b, sizeof b));
    CALL(read(s, b, sizeof b));
  }
}
