/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("What does a side that has shut down both ways answer when data arrives all the same?") {
  int s, c;
  char b[10] = {0};
  pair(&s, &c);
  CALL(shutdown(s, SHUT_RDWR));
  wait_mask(c, POLLRDHUP, POLLRDHUP);
  CALL(send(c, b, 10, MSG_NOSIGNAL));
  wait_mask(s, POLLHUP, POLLERR);
  CALL(send(s, b, 10, MSG_NOSIGNAL));
  CALL(send(s, b, 10, MSG_NOSIGNAL));
  CALL(recv(s, b, 10, 0));
}
