/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("Does what is in a buffer go out at exit(), and not at _exit()?") {
  for (int how = 0; how < 3; how++) {
    int s, c;
    char b[100];
    pair(&s, &c);
    pid_t kid = fork();
    if (kid == 0) {
      close(s);
      FILE *f = fdopen(c, "w");
      fputs("said at the end\n", f);
      if (how == 0)
        exit(0);
      if (how == 1)
        _exit(0);
      quick_exit(0);
    }
    close(c);
    CALL(read(s, b, sizeof b));
    child_status(kid);
    close(s);
  }
}
