/* SPDX-License-Identifier: Apache-2.0 */
#include "signal.h"

SCENARIO("SA_RESTART and a blocked write(): does one with progress return what it wrote, and one without go on?") {
  int s, c;
  static char b[16u << 20];
  pair(&s, &c);
  fill(b, sizeof b, 0);
  on(counts, SA_RESTART);
  pid_t kid = signal_soon();
  ssize_t n = write(c, b, sizeof b); /* blocks: nobody reads */
  say("partly written: %d, signals %d", n > 0 && n < (ssize_t)sizeof b, (int)caught);
  reap(kid);
  set_nonblock(c, true);
  size_t more = 0;
  for (ssize_t k; (k = write(c, b, 100000)) > 0;)
    more += (size_t)k;
  set_nonblock(c, false);
  say("all there: %d", read_all(s, (size_t)n, 0, 65536) == (size_t)n);
  size_t rest = 0;
  for (ssize_t k; rest < more && (k = read(s, b, sizeof b)) > 0;)
    rest += (size_t)k;
  say("and the rest: %d", rest == more);
}
