/* SPDX-License-Identifier: Apache-2.0 */
#include "signal.h"

static void closes_other(int sig) {
  (void)sig;
  close(other_fd);
  caught++;
}

SCENARIO("May a handler close another connection?") {
  int s, c, l, s2, c2;
  char b[16];
  pair_keep(&l, &s, &c);
  c2 = client_socket(0);
  connect_to(c2, port);
  s2 = accept(l, NULL, NULL);
  other_fd = s2;
  on(closes_other, 0);
  pid_t kid = signal_soon();
  CALL(read(s, b, sizeof b));
  reap(kid);
  CALL(read(c2, b, sizeof b));
  say("signals %d", (int)caught);
  write_all(c, 10, 0, 10);
  say("read %zu", read_all(s, 10, 0, 10));
}
