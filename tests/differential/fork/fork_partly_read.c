/* SPDX-License-Identifier: Apache-2.0 */
#include "fork.h"

SCENARIO("Does a record that one process has read in part go on in the other?") {
  int s, c;
  char b[1000];
  pair(&s, &c);
  write_all(c, 1000, 0, 1000);
  CALL(recv(s, b, 300, MSG_WAITALL));
  pid_t kid = fork();
  if (kid == 0) {
    role("child");
    CALL(recv(s, b, 300, MSG_WAITALL));
    say("same %d", same(b, 300, 300));
    _exit(0);
  }
  child_status(kid);
  CALL(recv(s, b, 400, MSG_WAITALL));
  say("same %d", same(b, 400, 600));
}
