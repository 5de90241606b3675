/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("What do both sides see after shutdown(SHUT_RD)?") {
  int s, c;
  char buf[100];
  pair(&s, &c);
  CALL(shutdown(s, SHUT_RD));
  say_poll("server", s, POLLIN | POLLOUT | POLLRDHUP, 0);
  CALL(read(s, buf, 10));
  say("wrote %zu", write_all(s, 10, 0, 10));
  say("read %zu", read_all(c, 10, 0, 10));
  CALL(shutdown(c, SHUT_RDWR));
  CALL(read(c, buf, 10));
  CALL(send(c, buf, 10, MSG_NOSIGNAL));
  CALL(shutdown(s, 7));
}
