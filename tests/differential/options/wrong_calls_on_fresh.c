/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

SCENARIO("What do calls answer on a socket that is neither?") {
  char b[10];
  int s = client_socket(0);
  CALL(read(s, b, 10));
  CALL(send(s, b, 10, MSG_NOSIGNAL));
  CALL(shutdown(s, SHUT_RDWR));
  say_poll("fresh", s, POLLIN | POLLOUT, 0);
  CALL(accept(s, NULL, NULL));
  CALL(close(s));
  CALL(read(s, b, 10));
  CALL(connect_to(s, port));
  CALL(listen(s, 5));
  CALL(getsockname(s, (struct sockaddr *)b, &(socklen_t){sizeof b}));
}
