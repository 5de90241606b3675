/* SPDX-License-Identifier: Apache-2.0 */
#include "connect.h"

SCENARIO("What does shutdown() do to a connect() in progress?") {
  int c = client_socket(SOCK_NONBLOCK);
  CALL(connect_to(c, dead_port));
  CALL(shutdown(c, SHUT_RDWR));
  say_poll("after", c, POLLIN | POLLOUT, 0);
  CALL(close(c));
}
