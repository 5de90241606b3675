/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

SCENARIO("Does a write to a closed peer raise SIGPIPE, and MSG_NOSIGNAL not?") {
  int s, c;
  pair(&s, &c);
  signal(SIGPIPE, on_pipe);
  close(s);
  wait_mask(c, POLLRDHUP | POLLIN, POLLRDHUP);
  CALL(write(c, "x", 1));
  wait_mask(c, POLLERR, POLLERR);
  CALL(read(c, &(char){0}, 1));
  CALL(write(c, "x", 1));
  say("SIGPIPE %d", (int)pipes);
  CALL(send(c, "x", 1, MSG_NOSIGNAL));
  say("SIGPIPE %d", (int)pipes);
  signal(SIGPIPE, SIG_IGN);
  CALL(write(c, "x", 1));
}
