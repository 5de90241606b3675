/* SPDX-License-Identifier: Apache-2.0 */
#include "fork.h"

SCENARIO("Two processes write and read in turns: is nothing lost or mixed up?") {
  int s, c;
  struct step to_kid, to_parent;
  pair(&s, &c);
  step_init(&to_kid);
  step_init(&to_parent);
  pid_t kid = fork();
  if (kid == 0) {
    role("child");
    for (unsigned i = 0; i < 20; i++) {
      step_wait(&to_kid);
      say("read %zu, wrote %zu", read_all(s, 100, 200 * i + 100, 100), write_all(s, 100, 200 * i + 100, 100));
      step_go(&to_parent);
    }
    _exit(0);
  }
  for (unsigned i = 0; i < 20; i++) {
    write_all(c, 200, 200 * i, 200);
    say("read %zu, wrote %zu", read_all(s, 100, 200 * i, 100), write_all(s, 100, 200 * i, 100));
    step_go(&to_kid);
    step_wait(&to_parent);
    say("back %zu", read_all(c, 200, 200 * i, 33));
  }
  child_status(kid);
}
