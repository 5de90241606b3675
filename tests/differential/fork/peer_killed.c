/* SPDX-License-Identifier: Apache-2.0 */
#include "fork.h"

SCENARIO("What does a program see whose peer was killed? (run with truncation: eof, as a killed peer is an end of "
         "file natively)") {
  int s, c;
  pair(&s, &c);
  pid_t kid = fork();
  if (kid == 0) {
    close(c);
    write_all(s, 100, 0, 100);
    pause();
    _exit(0);
  }
  close(s);
  char b;
  say("read %zu", read_all(c, 100, 0, 100));
  kill(kid, SIGKILL);
  child_status(kid);
  wait_mask(c, POLLIN | POLLRDHUP, POLLRDHUP);
  say_poll("client", c, POLLIN | POLLOUT | POLLRDHUP, 0);
  CALL(read(c, &b, 1));
  CALL(read(c, &b, 1));
}
