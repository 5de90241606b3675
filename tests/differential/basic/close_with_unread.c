/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("Does close() with unread bytes reset the peer?") {
  int s, c;
  char buf[100];
  pair(&s, &c);
  write_all(c, 100, 0, 100);
  say_wait("server", s, POLLIN);
  CALL(read(s, buf, 10));
  CALL(close(s));
  wait_mask(c, POLLIN, POLLERR);
  say_poll("client", c, POLLIN | POLLOUT | POLLRDHUP, 0);
  CALL(read(c, buf, 10));
}
