/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("What do streams say after a half-close?") {
  int s, c;
  char line[100];
  pair(&s, &c);
  FILE *f = fdopen(dup(c), "w"), *in = fdopen(c, "r"), *at = fdopen(s, "r+");
  CALL(fputs("question\n", f));
  CALL(fflush(f));
  CALL(shutdown(fileno(f), SHUT_WR));
  CALL(fclose(f));
  say("fgets %s", fgets(line, sizeof line, at) ? line : "NULL");
  say("end %d", fgets(line, sizeof line, at) == NULL && feof(at));
  fseek(at, 0, SEEK_CUR);
  CALL(fputs("answer\n", at));
  CALL(fclose(at));
  say("fgets %s", fgets(line, sizeof line, in) ? line : "NULL");
  CALL(fclose(in));
}
