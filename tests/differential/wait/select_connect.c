/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("Does select() tell when a connection is made?") {
  int l = listen_on(SOCK_NONBLOCK, 8), c = client_socket(SOCK_NONBLOCK);
  fd_set r, w;
  FD_ZERO(&r);
  FD_ZERO(&w);
  CALL(connect_to(c, port));
  FD_SET(c, &w);
  struct timeval t = {10, 0};
  CALL(select(c + 1, NULL, &w, NULL, &t));
  say("writable: %d", FD_ISSET(c, &w) != 0);
  FD_SET(l, &r);
  t = (struct timeval){10, 0};
  CALL(select(l + 1, &r, NULL, NULL, &t));
  say("listener readable: %d", FD_ISSET(l, &r) != 0);
  int x = accept(l, NULL, NULL);
  say("accepted: %d", x >= 0);
  write_all(x, 10, 0, 10);
  FD_ZERO(&r);
  FD_SET(c, &r);
  struct timespec ts = {10, 0};
  CALL(pselect(c + 1, &r, NULL, NULL, &ts, NULL));
  say("client readable: %d", FD_ISSET(c, &r) != 0);
}
