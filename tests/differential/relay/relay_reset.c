/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

SCENARIO("The peer resets: what does the program see that was executed?") {
  int s, c;
  pair(&s, &c);
  pid_t kid = fork();
  if (kid == 0) {
    role("child");
    close(c);
    dup2(s, 0);
    close(s);
    char b[10];
    CALL(read(0, b, 5));
    CALL(read(0, b, 5));
    _exit(0);
  }
  close(s);
  CALL(write(c, "hello", 5));
  nap(100);
  struct linger reset = {1, 0};
  CALL(setsockopt(c, SOL_SOCKET, SO_LINGER, &reset, sizeof reset));
  CALL(close(c));
  child_status(kid);
}
