/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

SCENARIO("Does SO_SNDTIMEO end a connect(), and SO_RCVTIMEO not?") {
  int fd = client_socket(0), e = -1;
  struct timeval t = {0, 100000};
  socklen_t len = sizeof e;
  CALL(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t));
  CALL(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
  CALL(connect_to(fd, dead_port));
  say_poll("after it", fd, POLLIN | POLLOUT, 0);
  CALL(getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len));
  CALL(connect_to(fd, dead_port));
  CALL(send(fd, "x", 1, MSG_NOSIGNAL));
  CALL(recv(fd, &e, 1, 0));
  CALL(close(fd));
}
