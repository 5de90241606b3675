/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"

/* The new image: has a connection on 5, and perhaps on 6 as well; answers, and ends by returning. */
IMAGE {
  role("image");
  struct sockaddr_in a;
  socklen_t len = sizeof a;
  char b[10];
  CALL(getpeername(5, (struct sockaddr *)&a, &len));
  say("family %d, close-on-exec %d", a.sin_family, fcntl(5, F_GETFD));
  len = sizeof a;
  CALL(getsockname(5, (struct sockaddr *)&a, &len));
  say("the port %d", a.sin_port == htons(port) || getenv("SCENARIO_CLIENT"));
  say("rest %zu", read_all(5, 4990, 10, 1000));
  if (fcntl(6, F_GETFD) >= 0) {
    say("by the other number %zu", write_all(6, 1000, 0, 1000));
    CALL(close(6));
  }
  say("wrote %zu", write_all(5, 20000, 0, 700));
  CALL(shutdown(5, SHUT_WR));
  CALL(read(5, b, sizeof b));
}
