/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

SCENARIO("Does MSG_PEEK show what the next read gets?") {
  int s, c;
  char b[200];
  pair(&s, &c);
  write_all(c, 100, 0, 100);
  say_wait("data", s, POLLIN);
  CALL(recv(s, b, 200, MSG_PEEK));
  say("same %d", same(b, 100, 0));
  CALL(recv(s, b, 10, MSG_PEEK));
  say_poll("still there", s, POLLIN, 0);
  CALL(recv(s, b, 60, 0));
  say("same %d", same(b, 60, 0));
  CALL(recv(s, b, 200, MSG_PEEK));
  say("same %d", same(b, 40, 60));
  CALL(recv(s, b, 40, 0));
  say("same %d", same(b, 40, 60));
  CALL(recv(s, b, 40, MSG_PEEK | MSG_DONTWAIT));
  close(c);
  CALL(recv(s, b, 40, MSG_PEEK));
  CALL(recv(s, b, 40, MSG_PEEK));
  CALL(recv(s, b, 40, 0));
}
