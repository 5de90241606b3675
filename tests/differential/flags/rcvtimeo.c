/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

SCENARIO("Does SO_RCVTIMEO end a read?") {
  int s, c;
  char b[100];
  struct timeval t = {0, 150000}, got = {0, 0};
  socklen_t len = sizeof got;
  pair(&s, &c);
  CALL(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
  CALL(getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &got, &len));
  say("about right: %d", got.tv_sec == 0 && got.tv_usec >= 140000 && got.tv_usec < 160000);
  CALL(read(s, b, 100));
  write_all(c, 10, 0, 10);
  CALL(recv(s, b, 100, MSG_WAITALL));
  CALL(recv(s, b, 100, MSG_WAITALL));
  write_all(c, 10, 10, 10);
  say_wait("data", s, POLLIN);
  CALL(read(s, b, 100));
  say("same %d", same(b, 10, 10));
}
