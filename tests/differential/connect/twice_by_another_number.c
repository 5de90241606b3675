/* SPDX-License-Identifier: Apache-2.0 */
#include "connect.h"

SCENARIO("Which of the connect() calls after a non-blocking one answers 0, where the socket has two numbers or was "
         "shut down?") {
  struct sockaddr_in a = at_port(port);
  int l = listen_on(0, 8);
  for (int way = 0; way < 3; way++) {
    int c = client_socket(SOCK_NONBLOCK);
    CALL(connect_to(c, port));
    say_wait("client", c, POLLOUT);
    int d = dup(c);
    if (way == 0)
      close(c);
    if (way == 2)
      CALL(shutdown(d, SHUT_RD));
    CALL(connect(d, (struct sockaddr *)&a, sizeof a));
    CALL(connect(way == 0 ? d : c, (struct sockaddr *)&a, sizeof a));
    close(d);
    if (way != 0)
      close(c);
    close(accept(l, NULL, NULL));
  }
}
