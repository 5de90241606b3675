/* SPDX-License-Identifier: Apache-2.0 */
#include "limits.h"

SCENARIO("A child gets no memory and has a connection of its parent's: does it use it, and is it whole afterwards?") {
  int s, c;
  char b[20000];
  pair(&s, &c);
  say("wrote %zu", write_all(c, 100, 0, 100));
  say("read %zu", read_all(s, 100, 0, 100));
  pid_t kid = fork();
  if (kid == 0) {
    role("child");
    fill(b, sizeof b, 100);
    limit_memory();
    CALL(write(c, b, sizeof b));
    _exit(0);
  }
  child_status(kid);
  say("read %zu", read_all(s, sizeof b, 100, 3000));
  say("wrote %zu", write_all(c, 1000, 0, 1000));
  say("read %zu", read_all(s, 1000, 0, 1000));
}
