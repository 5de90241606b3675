/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("What do SO_ERROR and getpeername() say after a reset?") {
  int s, c, error = -1;
  struct linger hard = {1, 0};
  pair(&s, &c);
  setsockopt(c, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close(c);
  wait_mask(s, POLLIN, POLLERR);
  socklen_t len = sizeof error;
  CALL(getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &len));
  say("SO_ERROR %s", errno_name(error));
  CALL(getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &len));
  say("SO_ERROR %s", errno_name(error));
  struct sockaddr_in a;
  len = sizeof a;
  CALL(getpeername(s, (struct sockaddr *)&a, &len));
}
