/* SPDX-License-Identifier: Apache-2.0 */
#include "badinput.h"

SCENARIO("Do writes from bad memory answer EFAULT, and leave the stream alone?") {
  int s, c;
  char *edge = before_a_hole(1), *bad = nowhere(), *volatile null = NULL, *volatile top = (char *)-1;
  pair(&s, &c);
  CALL(write(c, bad, 10));
  CALL(write(c, null, 10));
  CALL(write(c, top, 10));
  CALL(write(c, bad, 0));
  CALL(send(c, bad, 5000, MSG_DONTWAIT));
  CALL(send(c, bad, 100000, MSG_NOSIGNAL));
  CALL(sendto(c, bad, 10, 0, NULL, 0));
  CALL(writev(c, &(struct iovec){bad, 10}, 1));
  CALL(writev(c, nowhere(), 1));
  CALL(writev(c, NULL, 0));
  fill(edge, 4096, 0);
  CALL(write(c, edge + 4000, 200));
  CALL(writev(c, (struct iovec[]){{edge, 100}, {bad, 10}}, 2));
  CALL(write(c, edge + 4000, 96));
  char b[200];
  wait_mask(s, POLLIN, POLLIN);
  CALL(recv(s, b, sizeof b, 0));
  say("same %d", memcmp(b, edge + 4000, 96) == 0);
  say_alive(s, c);
}
