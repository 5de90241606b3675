/* SPDX-License-Identifier: Apache-2.0 */
#include "signal.h"

SCENARIO("Does a signal interrupt a blocked read()?") {
  int s, c;
  char b[100];
  pair(&s, &c);
  on(counts, 0);
  pid_t kid = signal_soon();
  CALL(read(s, b, sizeof b));
  reap(kid);
  kid = signal_soon();
  CALL(recv(s, b, sizeof b, MSG_WAITALL));
  reap(kid);
  kid = signal_soon();
  CALL(recv(s, b, sizeof b, MSG_PEEK));
  reap(kid);
  write_all(c, 50, 0, 50);
  kid = signal_soon();
  CALL(recv(s, b, sizeof b, MSG_WAITALL));
  reap(kid);
  say("same %d, signals %d", same(b, 50, 0), (int)caught);
  write_all(c, 50, 50, 50);
  CALL(recv(s, b, 50, MSG_WAITALL));
  say("same %d", same(b, 50, 50));
}
