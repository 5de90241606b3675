/* SPDX-License-Identifier: Apache-2.0 */
#include "connect.h"

SCENARIO("What does a non-blocking connect() to a closed port answer, step by step?") {
  int c = client_socket(SOCK_NONBLOCK);
  CALL(connect_to(c, port));
  wait_mask(c, POLLIN | POLLOUT, POLLERR);
  say_poll("refused", c, POLLIN | POLLOUT | POLLRDHUP, 0);
  say_so_error(c);
  say_so_error(c);
  say_poll("after SO_ERROR", c, POLLIN | POLLOUT | POLLRDHUP, 0);
  say_peer(c);
  CALL(send(c, "x", 1, MSG_NOSIGNAL));
}
