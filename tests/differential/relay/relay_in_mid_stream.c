/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

SCENARIO("Is what was read in part, and what came before the change, there after it?") {
  int s, c;
  char b[10];
  pair(&s, &c);
  write_all(c, 5000, 0, 5000);
  CALL(read(s, b, 10));
  say("first ten %d", same(b, 10, 0));
  pid_t kid = fork();
  if (kid == 0) {
    role("child");
    close(c);
    CALL(dup2(s, 0));
    say("rest %zu", read_all(0, 4990, 10, 1000));
    say("and through the old number %zu", read_all(s, 2000, 5000, 2000));
    CALL(write(s, "done", 4));
    _exit(0);
  }
  close(s);
  write_all(c, 2000, 5000, 2000);
  CALL(recv(c, b, 4, MSG_WAITALL));
  child_status(kid);
  CALL(read(c, b, 1));
}
