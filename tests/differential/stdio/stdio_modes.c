/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("Do fdopen()'s modes answer as natively?") {
  int s, c;
  pair(&s, &c);
  FILE *f = fdopen(c, "z");
  say("a mode that is none: %d %s", f != NULL, errno_name(errno));
  f = fdopen(999, "r");
  say("a number that is none: %d %s", f != NULL, errno_name(errno));
  f = fdopen(c, "r");
  errno = 0;
  say("fputc to a reader %d %s", fputc('x', f), errno_name(errno));
  say("error %d", ferror(f) != 0);
  clearerr(f);
  FILE *g = fdopen(s, "w");
  errno = 0;
  say("fgetc from a writer %d %s", fgetc(g), errno_name(errno));
  CALL(setvbuf(g, NULL, _IONBF, 0));
  CALL(fputs("unbuffered", g));
  char b[10];
  CALL(fread(b, 1, sizeof b, f));
  say_bytes("read", b, sizeof b);
  fclose(g);
  fclose(f);
}
