/* SPDX-License-Identifier: Apache-2.0 */
#include "stress.h"

/* A child of a program with threads may find locks taken by threads that it does not have. */
static void forks(void) {
  size_t fine = 0;
  for (int i = 0; i < 40; i++) {
    pid_t kid = fork();
    if (kid == 0) {
      int p[2];
      if (pipe(p) != 0 || write(p[1], "x", 1) != 1 || close(p[0]) != 0)
        _exit(1);
      _exit(i % 2 ? 0 : one_exchange(77) ? 0 : 2);
    }
    int st = -1;
    waitpid(kid, &st, 0);
    fine += WIFEXITED(st) && WEXITSTATUS(st) == 0;
  }
  say("children that did well: %zu", fine);
}

SCENARIO("Do forks in the middle of it break nothing?") { say("good %zu", with_threads(forks)); }
