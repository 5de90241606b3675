/* SPDX-License-Identifier: Apache-2.0 */
#include "listen.h"

SCENARIO("Is the port free again before close() returns?") {
  for (int i = 0; i < 20; i++) {
    int l = listen_on(0, 8);
    if (close(l) != 0)
      say("close: %s", errno_name(errno));
  }
  int l = listen_on(0, 8), c = client_socket(0);
  CALL(connect_to(c, port));
  close(l);
  char b;
  CALL(recv(c, &b, 1, 0));
}
