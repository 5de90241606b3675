/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

SCENARIO("Does TCP_CORK that was set before listen() and connect() hold, and does nothing get lost by it?") {
  int on = 1, off = 0, c = client_socket(0), l = listen_on(0, 8);
  char buf[8] = "";
  CALL(setsockopt(l, IPPROTO_TCP, TCP_CORK, &on, sizeof on));
  CALL(setsockopt(c, IPPROTO_TCP, TCP_CORK, &on, sizeof on));
  connect_to(c, port);
  int s = accept(l, NULL, NULL);
  ask("accepted", s, IPPROTO_TCP, TCP_CORK);
  ask("connected", c, IPPROTO_TCP, TCP_CORK);
  for (int i = 0; i < 2; i++) {
    CALL(write(i ? s : c, "corked", 6));
    CALL(setsockopt(i ? s : c, IPPROTO_TCP, TCP_CORK, &off, sizeof off));
    CALL(recv(i ? c : s, buf, 6, MSG_WAITALL));
    say("%.6s", buf);
  }
}
