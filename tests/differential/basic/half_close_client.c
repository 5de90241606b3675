/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("Can the client shut its side down and still read the answer?") {
  int s, c;
  char buf[100];
  pair(&s, &c);
  fill(buf, sizeof buf, 0);
  CALL(write(c, buf, 100));
  CALL(shutdown(c, SHUT_WR));
  CALL(shutdown(c, SHUT_WR));
  CALL(send(c, buf, 1, MSG_NOSIGNAL));
  wait_mask(s, POLLIN | POLLRDHUP, POLLRDHUP);
  say_poll("server", s, POLLIN | POLLOUT | POLLRDHUP, 0);
  say("read %zu", read_all(s, 1000, 0, 33));
  CALL(read(s, buf, 10));
  say_poll("server", s, POLLIN | POLLOUT | POLLRDHUP, 0);
  say("wrote %zu", write_all(s, 50000, 7, 5000));
  say("read %zu", read_all(c, 50000, 7, 4096));
  CALL(close(s));
  CALL(read(c, buf, 10));
  wait_mask(c, POLLIN | POLLRDHUP, POLLHUP);
  say_poll("client", c, POLLIN | POLLOUT | POLLRDHUP, 0);
}
