/* SPDX-License-Identifier: Apache-2.0 */
#include "io.h"

SCENARIO("Do single bytes pass in order?") {
  int s, c;
  pair(&s, &c);
  for (unsigned i = 0; i < 300; i++) {
    if (write_all(c, 1, i, 1) != 1)
      break;
  }
  say("by one: %zu", read_all(s, 300, 0, 1));
  write_all(c, 5000, 0, 5000);
  say("one big, read by one: %zu", read_all(s, 5000, 0, 1));
  for (unsigned i = 0; i < 300; i++)
    write_all(c, 3, 3 * i, 3);
  say("by three, read by seven: %zu", read_all(s, 900, 0, 7));
}
