/* SPDX-License-Identifier: Apache-2.0 */
#include "listen.h"

SCENARIO("What does a listener answer after shutdown()?") {
  int l = listen_on(0, 8);
  CALL(shutdown(l, SHUT_WR));
  say_poll("after SHUT_WR", l, POLLIN | POLLOUT, 0);
  CALL(shutdown(l, SHUT_RD));
  say_poll("after SHUT_RD", l, POLLIN | POLLOUT, 0);
  CALL(accept(l, NULL, NULL));
  int c = client_socket(0);
  CALL(connect_to(c, port));
  CALL(listen(l, 8));
  CALL(connect_to(c, port));
  int s = accept(l, NULL, NULL);
  say("accepted %d", s >= 0);
  CALL(shutdown(l, SHUT_RDWR));
  say("wrote %zu", write_all(c, 10, 0, 10));
  say("read %zu", read_all(s, 10, 0, 10));
  int on = -1;
  socklen_t len = sizeof on;
  CALL(getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &on, &len));
  say("accepts: %d", on);
  CALL(close(l));
}
