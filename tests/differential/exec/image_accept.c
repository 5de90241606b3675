/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"

/* The new image: accepts on descriptor 3 and echoes; what it saw goes to its own stdout. */
IMAGE {
  role("image");
  int on = -1;
  socklen_t len = sizeof on;
  CALL(getsockopt(3, SOL_SOCKET, SO_ACCEPTCONN, &on, &len));
  say("accepts: %d", on);
  struct sockaddr_in a;
  len = sizeof a;
  CALL(getsockname(3, (struct sockaddr *)&a, &len));
  say("the port: %d", a.sin_port == htons(port));
  int s = accept(3, NULL, NULL);
  size_t n = read_all(s, 1000, 0, 1000);
  say("read %zu, wrote %zu", n, write_all(s, n, 0, 100));
  char b;
  CALL(read(s, &b, 1));
}
