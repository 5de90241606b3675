/* SPDX-License-Identifier: Apache-2.0 */
#include "connect.h"

SCENARIO("Does SO_SNDTIMEO end a connect() that nobody answers?") {
  int c = client_socket(0);
  struct timeval t = {0, 200000};
  CALL(setsockopt(c, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t));
  CALL(connect_to(c, dead_port));
  say_so_error(c);
  CALL(connect_to(c, dead_port));
  say_peer(c);
  say_poll("in progress", c, POLLIN | POLLOUT, 50);
}
