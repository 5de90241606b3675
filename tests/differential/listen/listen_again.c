/* SPDX-License-Identifier: Apache-2.0 */
#include "listen.h"

SCENARIO("Does a second listen() change the backlog only?") {
  int l = listen_on(0, 1);
  CALL(listen(l, 64));
  CALL(listen(l, 0));
  CALL(listen(l, -1));
  int on = -1;
  socklen_t len = sizeof on;
  CALL(getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &on, &len));
  say("accepts: %d", on);
  int c = client_socket(0);
  CALL(connect_to(c, port));
  CALL(listen(l, 16));
  int s = accept(l, NULL, NULL);
  write_all(c, 10, 0, 10);
  say("read %zu", read_all(s, 10, 0, 10));
}
