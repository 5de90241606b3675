/* SPDX-License-Identifier: Apache-2.0 */
#include "unsent.h"

SCENARIO(
    "Who reads no more (SHUT_RD) closes with bytes unsent, and the peer ends its own side, before or after that") {
  for (int first = 0; first < 2; first++) {
    int s, c;
    pair(&s, &c);
    CALL(shutdown(c, SHUT_RD));
    if (first)
      CALL(shutdown(s, SHUT_WR));
    size_t wrote = write_until_full(c);
    CALL(close(c));
    if (!first)
      CALL(shutdown(s, SHUT_WR));
    say_all_came(s, wrote);
    CALL(close(s));
  }
}
