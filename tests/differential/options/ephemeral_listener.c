/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

SCENARIO("Does a listener without bind() get a port?") {
  int l = socket(AF_INET, SOCK_STREAM, 0);
  CALL(listen(l, 5));
  struct sockaddr_in a;
  socklen_t len = sizeof a;
  CALL(getsockname(l, (struct sockaddr *)&a, &len));
  say("has a port: %d", a.sin_port != 0);
  int c = client_socket(0);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CALL(connect(c, (struct sockaddr *)&a, sizeof a));
  int s = accept(l, NULL, NULL);
  say("accepted %d", s >= 0);
}
