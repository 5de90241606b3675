/* SPDX-License-Identifier: Apache-2.0 */
#include "unsent.h"

SCENARIO("Parent and child have a connection with bytes unsent, and the child closes it last: does all come?") {
  int s, c;
  struct step step;
  step_init(&step);
  pair(&s, &c);
  size_t wrote = write_until_full(c);
  pid_t kid = fork();
  if (kid == 0) {
    role("child");
    close(s);
    step_wait(&step);
    CALL(close(c));
    _exit(4);
  }
  CALL(close(c));
  step_go(&step);
  child_status(kid);
  CALL(shutdown(s, SHUT_WR));
  say_all_came(s, wrote);
  CALL(close(s));
}
