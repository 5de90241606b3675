/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

SCENARIO("What does MSG_PEEK with MSG_WAITALL wait for?") {
  int s, c;
  char b[200];
  pair(&s, &c);
  write_all(c, 100, 0, 100);
  CALL(recv(s, b, 100, MSG_PEEK | MSG_WAITALL));
  CALL(recv(s, b, 100, MSG_WAITALL));
  say("same %d", same(b, 100, 0));
}
