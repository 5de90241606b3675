/* SPDX-License-Identifier: Apache-2.0 */
#include "badinput.h"

SCENARIO("What do lengths above 2 GiB and below zero answer?") {
  int s, c;
  char *b = before_a_hole(1) + 3996;
  size_t volatile negative = (size_t)-1, large = (size_t)3 << 30;
  char *zero = mmap(NULL, (size_t)3 << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  pair(&s, &c);
  set_nonblock(c, true);
  CALL(write(c, b, negative));
  CALL(read(s, b, negative));
  CALL(send(c, b, negative, 0));
  CALL(recv(s, b, negative, MSG_DONTWAIT));
  ssize_t n = write(c, zero, large);
  say("some of it %d", n > 100000);
  say("zeros follow %d", recv(s, b, 100, MSG_WAITALL) == 100 && b[0] == 0 && b[99] == 0);
  char *room =
      mmap(NULL, (size_t)3 << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  say("a large read %d", read(s, room, large) > 1000);
}
