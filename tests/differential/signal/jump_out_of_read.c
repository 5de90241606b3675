/* SPDX-License-Identifier: Apache-2.0 */
#include "signal.h"

SCENARIO("May a handler leave a blocked read() by siglongjmp()?") {
  int s, c;
  char b[100];
  pair(&s, &c);
  on(jumps, SA_NODEFER);
  for (volatile int i = 0; i < 3; i++) {
    pid_t kid = signal_soon();
    if (sigsetjmp(back, 1) == 0)
      CALL(read(s, b, sizeof b));
    else
      say("jumped out");
    reap(kid);
  }
  write_all(c, 100, 0, 100);
  CALL(recv(s, b, 100, MSG_WAITALL));
  say("same %d, signals %d", same(b, 100, 0), (int)caught);
  write_all(s, 100, 0, 100);
  CALL(recv(c, b, 100, MSG_WAITALL));
  CALL(close(c));
  CALL(read(s, b, 1));
}
