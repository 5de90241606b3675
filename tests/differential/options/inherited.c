/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

SCENARIO("Does what is set on a listener hold for what it accepts?") {
  int l = listen_on(0, 8), on = 1, size = 50000;
  CALL(setsockopt(l, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
  CALL(setsockopt(l, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on));
  CALL(setsockopt(l, SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
  int c = client_socket(0);
  connect_to(c, port);
  int s = accept(l, NULL, NULL);
  ask("TCP_NODELAY", s, IPPROTO_TCP, TCP_NODELAY);
  ask("SO_KEEPALIVE", s, SOL_SOCKET, SO_KEEPALIVE);
  ask("SO_RCVBUF", s, SOL_SOCKET, SO_RCVBUF);
}
