/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

SCENARIO("What do reads and writes of no bytes answer?") {
  int s, c;
  char b[100];
  pair(&s, &c);
  CALL(write(c, b, 0));
  CALL(send(c, b, 0, 0));
  CALL(read(s, b, 0));
  CALL(recv(s, b, 0, MSG_DONTWAIT));
  write_all(c, 10, 0, 10);
  say_wait("data", s, POLLIN);
  CALL(read(s, b, 0));
  CALL(recv(s, b, 0, 0));
  CALL(read(s, b, 100));
  close(c);
  CALL(recv(s, b, 100, 0));
  CALL(recv(s, b, 0, 0));
}
