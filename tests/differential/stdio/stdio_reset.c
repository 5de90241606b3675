/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("What do streams say after a reset?") {
  int s, c;
  pair(&s, &c);
  FILE *f = fdopen(c, "r+");
  struct linger reset = {1, 0};
  CALL(setsockopt(s, SOL_SOCKET, SO_LINGER, &reset, sizeof reset));
  CALL(close(s));
  wait_mask(c, POLLIN, POLLHUP);
  errno = 0;
  say("fgetc %d %s", fgetc(f), errno_name(errno));
  say("error %d end %d", ferror(f) != 0, feof(f) != 0);
  signal(SIGPIPE, SIG_IGN);
  fputs("into the void", f);
  say("fflush %d %s", fflush(f), errno_name(errno));
  fclose(f);
}
