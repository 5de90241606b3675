/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <aio.h>
#include <sched.h>
#include <sys/syscall.h>

SCENARIO("Does a FILE on the connection work, sealed?") {
  int s, c;
  char b[101] = "";
  pair(&s, &c);
  errno = 0;
  FILE *out = fdopen(c, "w"), *in = fdopen(s, "r");
  if (out == NULL || in == NULL) {
    say("fdopen: %s", errno_name(errno));
    return;
  }
  fill(b, 100, 0);
  say("fwrite %zu", fwrite(b, 1, 100, out));
  say("fflush %d", fflush(out));
  memset(b, 0, sizeof b);
  say("fread %zu", fread(b, 1, 100, in));
  say("same %d", same(b, 100, 0));
  fclose(out);
  say("end: %d", fgetc(in) == EOF);
}
