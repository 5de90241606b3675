/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("Does SO_LINGER with 0 seconds reset the peer?") {
  int s, c;
  char buf[100];
  struct linger hard = {1, 0};
  pair(&s, &c);
  CALL(setsockopt(c, SOL_SOCKET, SO_LINGER, &hard, sizeof hard));
  CALL(close(c));
  wait_mask(s, POLLIN, POLLERR);
  say_poll("server", s, POLLIN | POLLOUT | POLLRDHUP, 0);
  CALL(read(s, buf, sizeof buf));
  CALL(send(s, buf, 10, MSG_NOSIGNAL));
  CALL(close(s));
}
