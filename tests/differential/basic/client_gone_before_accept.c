/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("What does a server accept whose client wrote and left before?") {
  char buf[100];
  int l = listen_on(0, 8), c = client_socket(0);
  connect_to(c, port);
  fill(buf, 50, 0);
  CALL(write(c, buf, 50));
  CALL(close(c));
  int x = accept(l, NULL, NULL);
  CALL(recv(x, buf, sizeof buf, MSG_WAITALL));
  say("same: %d", same(buf, 50, 0));
  CALL(read(x, buf, sizeof buf));
}
