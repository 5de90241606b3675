/* SPDX-License-Identifier: Apache-2.0 */
#include "io.h"

SCENARIO("Does sendfile() handle small files, offsets and ends?") {
  int s, c, in = temp_file(1000);
  off_t at = 100;
  char b[1000];
  pair(&s, &c);
  CALL(sendfile(c, in, &at, 200));
  say("offset %lld", (long long)at);
  CALL(lseek(in, 50, SEEK_SET));
  CALL(sendfile(c, in, NULL, 100));
  CALL(lseek(in, 0, SEEK_CUR));
  CALL(recv(s, b, 300, MSG_WAITALL));
  say("same %d %d", same(b, 200, 100), same(b + 200, 100, 50));
  at = 1000;
  CALL(sendfile(c, in, &at, 100));
  at = 900;
  CALL(sendfile(c, in, &at, 1000));
  CALL(recv(s, b, 100, MSG_WAITALL));
  say("same %d", same(b, 100, 900));
  CALL(sendfile(s, c, NULL, 10));
  CALL(sendfile(c, in, &at, 0));
}
