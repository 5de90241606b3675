/* SPDX-License-Identifier: Apache-2.0 */
#include "connect.h"

SCENARIO("What does a blocking connect() to a closed port answer?") {
  int c = client_socket(0);
  CALL(connect_to(c, port));
  say_so_error(c);
  say_peer(c);
  say_poll("after", c, POLLIN | POLLOUT, 0);
  CALL(send(c, "x", 1, MSG_NOSIGNAL));
  CALL(close(c));
}
