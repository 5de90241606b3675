/* SPDX-License-Identifier: Apache-2.0 */
#include "fork.h"

SCENARIO("The child writes, the parent reads: does the peer see the end only after the last close?") {
  int s, c;
  char b;
  pair(&s, &c);
  pid_t kid = fork();
  if (kid == 0) {
    role("child");
    close(c);
    say("wrote %zu", write_all(s, 50000, 0, 777));
    CALL(close(s));
    _exit(0);
  }
  say("from the child: %zu", read_all(c, 50000, 0, 1000));
  child_status(kid);
  say_poll("open still", c, POLLIN, 50);
  say("from the parent: %zu", write_all(s, 1000, 50000, 1000));
  say("read %zu", read_all(c, 1000, 50000, 1000));
  say("to the server: %zu", write_all(c, 1000, 0, 1000));
  say("read %zu", read_all(s, 1000, 0, 1000));
  CALL(close(s));
  CALL(read(c, &b, 1));
}
