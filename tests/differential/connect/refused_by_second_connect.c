/* SPDX-License-Identifier: Apache-2.0 */
#include "connect.h"

SCENARIO("Does a second connect() tell that the first was refused?") {
  int c = client_socket(SOCK_NONBLOCK);
  CALL(connect_to(c, port));
  wait_mask(c, POLLIN | POLLOUT, POLLERR);
  CALL(connect_to(c, port));
  int l = listen_on(0, 8);
  CALL(connect_to(c, port));
  say_wait("again", c, POLLOUT);
  say_so_error(c);
  CALL(close(l));
}
