/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

/* Nothing may hold a server's first bytes back (Nagle's algorithm behind a handshake's last flight): a reset would
 * take them along, and a greeting would come 40 ms late. */
SCENARIO("Does what a server sends first arrive, when it resets the connection at once?") {
  int s, c, off = 0;
  char greeting[] = "220 welcome\r\n", b[64];
  struct linger hard = {1, 0};
  pair(&s, &c);
  setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &off, sizeof off); /* pair() set it */
  CALL(setsockopt(s, SOL_SOCKET, SO_LINGER, &hard, sizeof hard));
  CALL(write(s, greeting, sizeof greeting - 1));
  CALL(close(s));
  wait_mask(c, POLLIN, POLLERR);
  CALL(read(c, b, sizeof b));
  CALL(read(c, b, sizeof b));
  close(c);
}
