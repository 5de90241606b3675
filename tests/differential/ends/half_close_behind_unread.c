/* SPDX-License-Identifier: Apache-2.0 */
#include "unsent.h"

SCENARIO("The peer has closed, its bytes are here and not read, and we end our side: does an error come of it?") {
  for (int way = 0; way < 3; way++) {
    static const size_t many[3] = {3, 100, 300000};
    int s, c;
    int room = 4 << 20;
    pair(&s, &c);
    setsockopt(s, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    setsockopt(c, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    say("wrote %zu", write_all(c, many[way], 0, 4000));
    CALL(close(c));
    wait_mask(s, POLLRDHUP, POLLRDHUP);
    CALL(shutdown(s, SHUT_WR));
    nap(50);
    say_poll("the reader", s, POLLIN | POLLRDHUP, 0);
    say_error(s);
    say_all_came(s, many[way]);
    say_poll("the reader", s, POLLIN | POLLRDHUP, 0);
    CALL(send(s, "x", 1, MSG_NOSIGNAL));
    CALL(close(s));
  }
}
