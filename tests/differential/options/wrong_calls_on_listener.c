/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

SCENARIO("What do calls for connections answer on a listener?") {
  char b[10];
  int l = listen_on(0, 8);
  CALL(read(l, b, 10));
  CALL(recv(l, b, 10, MSG_DONTWAIT));
  struct sockaddr_in a = at_port(port);
  CALL(bind(l, (struct sockaddr *)&a, sizeof a));
  CALL(connect_to(l, port));
}
