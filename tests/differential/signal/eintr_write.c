/* SPDX-License-Identifier: Apache-2.0 */
#include "signal.h"

SCENARIO("What does a signal leave of a blocked write()?") {
  int s, c;
  static char b[16u << 20];
  pair(&s, &c);
  fill(b, sizeof b, 0);
  on(counts, 0);
  pid_t kid = signal_soon();
  ssize_t n = write(c, b, sizeof b); /* blocks: nobody reads */
  say("partly written: %d, signals %d", n > 0 && n < (ssize_t)sizeof b, (int)caught);
  reap(kid);
  kid = signal_soon();
  ssize_t m = 0;
  errno = 0;
  m = write(c, b, sizeof b); /* what fits by now, or EINTR */
  say("again: %s", m > 0 ? "EINTR" : errno_name(errno));
  size_t whole = (size_t)n;
  say("all there: %d", read_all(s, whole, 0, 65536) == whole);
  if (m > 0)
    say("and %d", read_all(s, (size_t)m, 0, 65536) == (size_t)m);
  else
    say("and 1");
  say("wrote %zu", write_all(c, 1000, 7, 1000));
  say("read %zu", read_all(s, 1000, 7, 1000));
  reap(kid);
}
