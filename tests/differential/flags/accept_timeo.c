/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

SCENARIO("Does SO_RCVTIMEO end an accept()?") {
  int l = listen_on(0, 8);
  struct timeval t = {0, 100000};
  CALL(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
  CALL(accept(l, NULL, NULL));
  int c = client_socket(0);
  connect_to(c, port);
  struct pollfd p = {.fd = l, .events = POLLIN};
  CALL(poll(&p, 1, 5000));
  say("accepted: %d", accept(l, NULL, NULL) >= 0);
  CALL(accept(l, NULL, NULL));
}
