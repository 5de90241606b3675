/* SPDX-License-Identifier: Apache-2.0 */
#include "signal.h"

static void writes_other(int sig) {
  (void)sig;
  if (write(other_fd, "from the handler", 16) != 16)
    caught = -100;
  caught++;
}

SCENARIO("Does SA_RESTART carry a blocked read() on?") {
  int s, c;
  char b[100];
  pair(&s, &c);
  other_fd = c;
  on(writes_other, SA_RESTART);
  pid_t kid = signal_soon();
  CALL(read(s, b, sizeof b));
  reap(kid);
  say("signals %d", (int)caught);
}
