/* SPDX-License-Identifier: Apache-2.0 */
#include "io.h"

SCENARIO("Do TCP_CORK and MSG_MORE change nothing in what arrives?") {
  int s, c, on = 1, off = 0;
  char b[3000];
  pair(&s, &c);
  CALL(setsockopt(c, IPPROTO_TCP, TCP_CORK, &on, sizeof on));
  for (unsigned i = 0; i < 10; i++)
    write_all(c, 100, 100 * i, 100);
  CALL(setsockopt(c, IPPROTO_TCP, TCP_CORK, &off, sizeof off));
  CALL(recv(s, b, 1000, MSG_WAITALL));
  say("same %d", same(b, 1000, 0));
  fill(b, 300, 1000);
  CALL(send(c, b, 100, MSG_MORE));
  CALL(send(c, b + 100, 100, MSG_MORE));
  CALL(send(c, b + 200, 100, 0));
  CALL(recv(s, b, 300, MSG_WAITALL));
  say("same %d", same(b, 300, 1000));
}
