/* SPDX-License-Identifier: Apache-2.0 */
#include "fork.h"

SCENARIO("Do all numbers of a connection lead to it, and does it end with the last?") {
  int s, c, l;
  char b[10];
  pair_keep(&l, &s, &c);
  int d = (int)CALL(dup(s));
  int e = (int)CALL(dup2(s, 60));
  int f = (int)CALL(dup3(s, 61, O_CLOEXEC));
  int g = (int)CALL(fcntl(s, F_DUPFD, 70));
  int h = (int)CALL(fcntl(s, F_DUPFD_CLOEXEC, 70));
  CALL(fcntl(f, F_GETFD));
  CALL(fcntl(h, F_GETFD));
  CALL(fcntl(e, F_GETFD));
  CALL(dup2(s, s));
  CALL(dup3(s, s, 0));
  int all[] = {s, d, e, f, g, h};
  for (unsigned i = 0; i < 6; i++) {
    write_all(c, 10, i * 10, 10);
    say("read %zu, wrote %zu", read_all(all[i], 10, i * 10, 10), write_all(all[i], 5, i, 5));
    say("client read %zu", read_all(c, 5, i, 5));
    if (i < 5)
      CALL(close(all[i]));
  }
  say_poll("open still", c, POLLIN, 50);
  CALL(fcntl(h, F_SETFL, O_NONBLOCK));
  CALL(read(h, b, 1));
  CALL(close(h));
  CALL(read(c, b, 1));
}
