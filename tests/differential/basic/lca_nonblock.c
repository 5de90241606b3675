/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("Does the whole life of a non-blocking connection answer as TCP does?") {
  char buf[100];
  int l = listen_on(SOCK_NONBLOCK, 8);
  CALL(accept4(l, NULL, NULL, SOCK_NONBLOCK));
  say_poll("idle listener", l, POLLIN | POLLOUT, 0);
  int c = client_socket(SOCK_NONBLOCK);
  CALL(connect_to(c, port));
  say_wait("client", c, POLLOUT);
  int error = -1;
  socklen_t len = sizeof error;
  CALL(getsockopt(c, SOL_SOCKET, SO_ERROR, &error, &len));
  say("SO_ERROR %s", errno_name(error));
  CALL(connect_to(c, port));
  CALL(connect_to(c, port));
  say_wait("listener", l, POLLIN | POLLOUT);
  int x = (int)CALL(accept4(l, NULL, NULL, SOCK_NONBLOCK));
  CALL(accept4(l, NULL, NULL, SOCK_NONBLOCK));
  say_poll("listener", l, POLLIN | POLLOUT, 0);
  CALL(read(x, buf, sizeof buf));
  fill(buf, sizeof buf, 0);
  CALL(write(c, buf, sizeof buf));
  say_wait("server", x, POLLIN);
  CALL(read(x, buf, sizeof buf));
  say("same: %d", same(buf, sizeof buf, 0));
  CALL(read(x, buf, sizeof buf));
  close(c);
  say_wait("server at the end", x, POLLIN);
  CALL(read(x, buf, sizeof buf));
  CALL(read(x, buf, sizeof buf));
}
