/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

SCENARIO("Does a write after one's own shutdown raise SIGPIPE?") {
  int s, c;
  pair(&s, &c);
  signal(SIGPIPE, on_pipe);
  shutdown(c, SHUT_WR);
  CALL(write(c, "x", 1));
  CALL(writev(c, &(struct iovec){"x", 1}, 1));
  CALL(send(c, "x", 1, 0));
  say("SIGPIPE %d", (int)pipes);
  CALL(send(c, "x", 1, MSG_NOSIGNAL));
  say("SIGPIPE %d", (int)pipes);
  close(s);
}
