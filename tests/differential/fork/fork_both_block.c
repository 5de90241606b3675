/* SPDX-License-Identifier: Apache-2.0 */
#include "fork.h"

SCENARIO("Two processes block in read() on one connection: is each byte read once?") {
  int s, c;
  pair(&s, &c);
  pid_t kid = fork();
  if (kid == 0) { /* the server's side, read by both processes at once */
    role("child");
    char b[1];
    ssize_t n = read(s, b, 1);
    _exit(n == 1 ? 1 : 0);
  }
  nap(50);
  char b[1];
  write_all(c, 2, 0, 2);
  CALL(read(s, b, 1));
  child_status(kid);
}
