/* SPDX-License-Identifier: Apache-2.0 */
#include "connect.h"

SCENARIO("What does a socket answer whose connect() is in progress?") {
  int c = client_socket(SOCK_NONBLOCK);
  char buf[10];
  CALL(connect_to(c, dead_port));
  CALL(connect_to(c, dead_port));
  say_poll("in progress", c, POLLIN | POLLOUT | POLLRDHUP, 50);
  say_so_error(c);
  say_peer(c);
  CALL(write(c, "x", 1));
  CALL(send(c, "x", 1, MSG_NOSIGNAL));
  CALL(read(c, buf, sizeof buf));
  CALL(recv(c, buf, sizeof buf, MSG_PEEK));
  int d = dup(c);
  say_poll("its dup", d, POLLIN | POLLOUT, 50);
  CALL(connect_to(d, dead_port));
  CALL(listen(c, 5));
  CALL(close(c));
  say_poll("its dup", d, POLLIN | POLLOUT, 50);
  CALL(close(d));
}
