/* SPDX-License-Identifier: Apache-2.0 */
#include "stress.h"

extern char **environ;

static void spawns(void) {
  volatile size_t fine = 0;
  char *argv[] = {(char *)(uintptr_t) "true", NULL};
  for (volatile int i = 0; i < 30; i++) {
    pid_t kid = -1;
    int st = -1;
    if (i % 3 == 0) {
      fine += system("true") == 0;
      continue;
    }
    if (i % 3 == 1)
      posix_spawn(&kid, "/bin/true", NULL, NULL, argv, environ);
    else if ((kid = vfork()) == 0) {
      execv("/bin/true", argv);
      _exit(1);
    }
    waitpid(kid, &st, 0);
    fine += WIFEXITED(st) && WEXITSTATUS(st) == 0;
  }
  say("children that did well: %zu", fine);
}

SCENARIO("Do spawned children in the middle of it break nothing?") { say("good %zu", with_threads(spawns)); }
