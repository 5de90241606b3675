/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <linux/close_range.h>
#include <sched.h>

static void use(int s, int c) {
  say("wrote %zu", write_all(s, 1000, 0, 1000));
  say("there %zu", read_all(c, 1000, 0, 1000));
}

SCENARIO(
    "Does unshare(CLONE_FILES) work where there is one thread, and a child take what it closes from its parent?") {
  int s, c;
  pair(&s, &c);
  CALL(unshare(CLONE_FILES));
  use(s, c);
  pid_t kid = fork();
  if (kid == 0) {
    role("child");
    CALL(unshare(CLONE_FILES | CLONE_FS));
    CALL(close_range(3, ~0u, CLOSE_RANGE_UNSHARE));
    _exit(0);
  }
  child_status(kid);
  use(c, s);
  close(s);
  close(c);
}
