/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

SCENARIO("What do names, shutdown() and connect() answer once a connection is over?") {
  int s, c;
  struct sockaddr_in a;
  socklen_t len = sizeof a;
  char b[10];
  pair(&s, &c);
  CALL(shutdown(c, SHUT_WR));
  CALL(shutdown(c, SHUT_WR));
  CALL(getpeername(c, (struct sockaddr *)&a, &len));
  CALL(recv(s, b, 1, 0));
  CALL(send(s, "bye", 3, 0));
  CALL(close(s));
  CALL(recv(c, b, 10, MSG_WAITALL));
  CALL(getsockname(c, (struct sockaddr *)&a, &len));
  CALL(close(c));
  CALL(getpeername(c, (struct sockaddr *)&a, &len));
  pair(&s, &c);
  struct sockaddr_in to = at_port(port);
  CALL(connect(c, (struct sockaddr *)&to, sizeof to));
  CALL(listen(c, 5));
  CALL(bind(c, (struct sockaddr *)&to, sizeof to));
  CALL(accept(c, NULL, NULL));
  a = (struct sockaddr_in){.sin_family = AF_UNSPEC};
  CALL(connect(c, (struct sockaddr *)&a, sizeof a));
  CALL(getpeername(c, (struct sockaddr *)&a, &len));
  CALL(send(c, "x", 1, MSG_NOSIGNAL));
  wait_mask(s, POLLIN, POLLIN);
  CALL(recv(s, b, 1, 0));
  close(s);
  int l = listen_on(0, 5);
  CALL(connect(c, (struct sockaddr *)&to, sizeof to));
  s = accept(l, NULL, NULL);
  CALL(send(c, "again", 5, 0));
  CALL(recv(s, b, 5, MSG_WAITALL));
}
