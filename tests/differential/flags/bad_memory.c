/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

SCENARIO("Do unreadable and unwritable addresses give EFAULT?") {
  int s, c;
  char b[10];
  pair(&s, &c);
  char *volatile nowhere = (char *)8;
  CALL(write(c, nowhere, 10));
  CALL(write(c, b, 5));
  say_wait("data", s, POLLIN);
  CALL(recv(s, b, 10, 0));
}
