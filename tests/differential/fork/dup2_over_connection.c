/* SPDX-License-Identifier: Apache-2.0 */
#include "fork.h"

SCENARIO("Does dup2() over a connection close the one and copy the other?") {
  int s, c, s2, c2, l;
  char b[10];
  pair_keep(&l, &s, &c);
  c2 = client_socket(0);
  connect_to(c2, port);
  s2 = accept(l, NULL, NULL);
  say("another number: %d", dup2(s2, s) == s);
  CALL(read(c, b, 1));
  write_all(c2, 10, 0, 10);
  say("read %zu", read_all(s, 10, 0, 10));
  CALL(dup2(open("/dev/null", O_RDWR), c2) == c2);
  CALL(read(s, b, 1));
  CALL(write(c2, "x", 1));
}
