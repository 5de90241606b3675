/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("Does one stream for both directions carry a line protocol?") {
  int s, c;
  char line[200];
  pair(&s, &c);
  FILE *in = fdopen(c, "r"), *out = fdopen(c, "w"), *both = fdopen(s, "r+");
  say("streams %d %d %d", in != NULL, out != NULL, both != NULL);
  say("numbers %d %d %d", fileno(in) == c, fileno(out) == c, fileno_unlocked(both) == s);
  CALL(fprintf(out, "HELO %s %d\r\n", "client", 25));
  CALL(fputs("second line\n", out));
  CALL(fflush(out));
  say("fgets %s", fgets(line, sizeof line, both) ? line : "NULL");
  say("fgets %s", fgets(line, sizeof line, both) ? line : "NULL");
  CALL(fseek(both, 0, SEEK_CUR)); /* between reading and writing; a socket cannot, and it does no harm */
  CALL(fprintf(both, "250 hello %c\n", '!'));
  CALL(fflush(both));
  char *got = NULL;
  size_t room = 0;
  CALL(getline(&got, &room, in));
  say("getline %s", got);
  free(got);
  CALL(ungetc('x', in));
  CALL(fgetc(in));
  CALL(ftell(in));
  CALL(fclose(out)); /* closes the number under the other stream, too */
  say("fgetc is EOF %d", fgetc(in) == EOF);
  say("error %d, end %d", ferror(in) != 0, feof(in) != 0);
  say("at the server EOF %d", fgetc(both) == EOF);
  say("error %d, end %d", ferror(both) != 0, feof(both) != 0);
  CALL(fclose(both));
}
