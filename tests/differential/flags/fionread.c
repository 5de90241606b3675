/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

SCENARIO("Does FIONREAD count what can be read?") {
  int s, c, l, n = -1;
  char b[100];
  pair_keep(&l, &s, &c);
  CALL(ioctl(s, FIONREAD, &n));
  say("nothing: %d", n);
  write_all(c, 100, 0, 100);
  say_wait("data", s, POLLIN);
  CALL(ioctl(s, FIONREAD, &n));
  say("there: %d", n);
  CALL(read(s, b, 30));
  CALL(ioctl(s, FIONREAD, &n));
  say("left: %d", n);
  CALL(read(s, b, 70));
  CALL(ioctl(s, FIONREAD, &n));
  say("nothing: %d", n);
  close(c);
  wait_mask(s, POLLRDHUP, POLLRDHUP);
  CALL(ioctl(s, FIONREAD, &n));
  say("at the end: %d", n);
  CALL(ioctl(l, FIONREAD, &n));
}
