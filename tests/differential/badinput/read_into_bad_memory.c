/* SPDX-License-Identifier: Apache-2.0 */
#include "badinput.h"

SCENARIO("Do reads into bad memory answer EFAULT, and leave the bytes for the next?") {
  int s, c;
  char *edge = before_a_hole(1), *bad = nowhere(), *volatile null = NULL, *volatile top = (char *)-1;
  char b[300], *fixed = read_only();
  pair(&s, &c);
  CALL(recv(s, bad, 10, MSG_DONTWAIT));
  CALL(recv(s, top, 10, MSG_DONTWAIT));
  CALL(recv(s, bad, 0, MSG_DONTWAIT));
  write_all(c, 200, 0, 200);
  wait_mask(s, POLLIN, POLLIN);
  CALL(read(s, bad, 10));
  CALL(read(s, null, 10));
  CALL(read(s, top, 10));
  CALL(read(s, fixed, 10));
  CALL(recv(s, bad, 1000, MSG_PEEK));
  CALL(recv(s, edge + 4000, 200, 0));
  CALL(recv(s, edge + 4000, 200, MSG_PEEK));
  CALL(recv(s, bad, 100, MSG_WAITALL));
  CALL(readv(s, (struct iovec[]){{b, 50}, {bad, 50}}, 2));
  CALL(readv(s, nowhere(), 1));
  CALL(recvfrom(s, bad, 100, 0, NULL, NULL));
  wait_mask(s, POLLIN, POLLIN);
  CALL(recv(s, bad, 50, MSG_TRUNC));
  CALL(recv(s, edge + 4046, 50, 0));
  say("same %d", same(edge + 4046, 50, 50));
  CALL(recv(s, edge + 3996, 4000, 0));
  say("same %d", same(edge + 3996, 100, 100));
  CALL(recv(s, b, 10, MSG_DONTWAIT));
  say_alive(s, c);
}
