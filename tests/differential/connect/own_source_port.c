/* SPDX-License-Identifier: Apache-2.0 */
#include "connect.h"

SCENARIO("Does bind() before connect() choose the source port?") {
  int l = listen_on(0, 8), c = client_socket(0), one = 1;
  struct sockaddr_in a = at_port(0), b, d;
  socklen_t len = sizeof b;
  setsockopt(c, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  CALL(bind(c, (struct sockaddr *)&a, sizeof a));
  getsockname(c, (struct sockaddr *)&b, &len);
  CALL(connect_to(c, port));
  len = sizeof d;
  int s = accept(l, (struct sockaddr *)&d, &len);
  say("accepted %d, from the bound port: %d", s >= 0, b.sin_port == d.sin_port);
}
