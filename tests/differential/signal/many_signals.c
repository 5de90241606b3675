/* SPDX-License-Identifier: Apache-2.0 */
#include "signal.h"

SCENARIO("Do many signals lose or double no byte?") {
  int s, c;
  pair(&s, &c);
  on(counts, SA_RESTART);
  pid_t me = getpid(), kid = fork();
  if (kid == 0) {
    for (int i = 0; i < 2000; i++) {
      kill(me, SIGUSR1);
      usleep(300);
    }
    _exit(0);
  }
  pid_t writer = fork();
  if (writer == 0) {
    close(s);
    write_all(c, 8u << 20, 0, 100003);
    _exit(0);
  }
  say("read %zu", read_all(s, 8u << 20, 0, 30011));
  say("signals: %d", caught > 0);
  reap(writer);
  reap(kid);
}
