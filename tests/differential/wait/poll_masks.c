/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("Are poll()'s masks TCP's through a connection's life?") {
  int s, c;
  char buf[200];
  const short all = POLLIN | POLLOUT | POLLPRI | POLLRDHUP;
  pair(&s, &c);
  say_poll("fresh client", c, all, 0);
  say_poll("fresh server", s, all, 0);
  write_all(c, 100, 0, 100);
  say_wait("server, 100 bytes", s, POLLIN);
  say_poll("server", s, all, 0);
  CALL(read(s, buf, 1));
  say_poll("server, 99 left", s, all, 0);
  CALL(read(s, buf, 98));
  say_poll("server, 1 left", s, all, 0);
  CALL(read(s, buf, 100));
  say_poll("server, drained", s, all, 0);
  shutdown(c, SHUT_WR);
  wait_mask(s, all, POLLRDHUP);
  say_poll("server, peer shut", s, all, 0);
  CALL(read(s, buf, 100));
  say_poll("server, end read", s, all, 0);
  shutdown(s, SHUT_WR);
  say_poll("server, both shut", s, all, 0);
  wait_mask(c, all, POLLHUP);
  say_poll("client, both shut", c, all, 0);
  say_poll("server, nothing asked", s, 0, 0);
}
