/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("Can the server shut its side down and still read what the client sends?") {
  int s, c;
  char buf[100];
  pair(&s, &c);
  CALL(shutdown(s, SHUT_WR));
  CALL(read(c, buf, 10));
  wait_mask(c, POLLIN | POLLRDHUP, POLLRDHUP);
  say_poll("client", c, POLLIN | POLLOUT | POLLRDHUP, 0);
  say("wrote %zu", write_all(c, 30000, 0, 3000));
  say("read %zu", read_all(s, 30000, 0, 30000));
  CALL(shutdown(c, SHUT_WR));
  CALL(read(s, buf, 10));
  CALL(shutdown(s, SHUT_RDWR));
}
