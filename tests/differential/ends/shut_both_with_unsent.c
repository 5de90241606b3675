/* SPDX-License-Identifier: Apache-2.0 */
#include "unsent.h"

SCENARIO("shutdown() of both ways with bytes unsent, then close(), and the peer ends its own side: does all come?") {
  for (int way = 0; way < 3; way++) {
    int s, c;
    pair(&s, &c);
    size_t wrote = write_until_full(c);
    if (way == 0)
      CALL(shutdown(c, SHUT_RDWR));
    else
      CALL(shutdown(c, way == 1 ? SHUT_RD : SHUT_WR));
    if (way > 0)
      CALL(shutdown(c, way == 1 ? SHUT_WR : SHUT_RD));
    say_poll("the writer", c, POLLIN | POLLRDHUP, 0);
    CALL(shutdown(s, SHUT_WR));
    nap(50);
    CALL(close(c));
    say_all_came(s, wrote);
    CALL(close(s));
  }
}
