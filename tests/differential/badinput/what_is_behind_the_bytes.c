/* SPDX-License-Identifier: Apache-2.0 */
#include "badinput.h"

SCENARIO("Does a read leave alone what is behind the bytes it returns?") {
  int s, c;
  char b[3000], same_as[3000];
  memset(b, 'x', sizeof b);
  memset(same_as, 'x', sizeof same_as);
  pair(&s, &c);
  write_all(c, 20, 0, 20);
  wait_mask(s, POLLIN, POLLIN);
  CALL(read(s, b, sizeof b));
  say("behind it %d", memcmp(b + 20, same_as + 20, sizeof b - 20));
  memset(b, 'x', sizeof b);
  CALL(recv(s, b, sizeof b, MSG_DONTWAIT));
  say("nothing there %d", memcmp(b, same_as, sizeof b));
  shutdown(c, SHUT_WR);
  wait_mask(s, POLLRDHUP, POLLRDHUP);
  CALL(read(s, b, sizeof b));
  say("at the end %d", memcmp(b, same_as, sizeof b));
  write_all(s, 20, 0, 20);
  close(s);
  wait_mask(c, POLLIN, POLLIN);
  nap(50);
  CALL(read(c, b, 20));
  memset(b, 'x', sizeof b);
  CALL(read(c, b, sizeof b));
  say("at the end %d", memcmp(b, same_as, sizeof b));
}
