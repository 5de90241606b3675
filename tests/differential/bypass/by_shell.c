/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <aio.h>
#include <sched.h>
#include <sys/syscall.h>

SCENARIO("system() and popen() fork and execute inside: does what is open behave in the shell?") {
  int s, c;
  pair(&s, &c);
  int high = dup2(c, 40);
  say("high %d", high == 40);
  const char *command = "exec bash -c 'echo \"$SCENARIO_MARKER$SCENARIO_MARKER\" >&40' 2>/dev/null";
  CALL(system(command));
  FILE *f = popen(command, "r");
  CALL(pclose(f));
}
