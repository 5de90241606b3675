/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("What do streams do on a non-blocking connection?") {
  int s, c;
  pair(&s, &c);
  set_nonblock(s, true);
  FILE *in = fdopen(s, "r");
  errno = 0;
  say("nothing there: %d %s", fgetc(in), errno_name(errno));
  say("error %d end %d", ferror(in) != 0, feof(in) != 0);
  clearerr(in);
  CALL(write(c, "x", 1));
  wait_mask(s, POLLIN, POLLIN);
  CALL(fgetc(in));
  fclose(in);
  close(c);
}
