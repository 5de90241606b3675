/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

SCENARIO("Does MSG_TRUNC throw bytes away?") {
  int s, c;
  char b[100];
  pair(&s, &c);
  write_all(c, 100, 0, 100);
  say_wait("data", s, POLLIN);
  CALL(recv(s, NULL, 30, MSG_TRUNC));
  CALL(recv(s, b, 20, MSG_TRUNC));
  CALL(recv(s, b, 50, 0));
  say("same %d", same(b, 50, 50));
  CALL(recv(s, NULL, 30, MSG_TRUNC | MSG_DONTWAIT));
}
