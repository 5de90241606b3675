/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("Do setvbuf(), ungetc(), fseek() and their kind behave as on a socket?") {
  int s, c;
  static char data[100000], got[100000];
  pair(&s, &c);
  FILE *out = fdopen(c, "w"), *in = fdopen(s, "r");
  fill(data, sizeof data, 0);
  CALL(fwrite(data, 1, 5000, out));
  usleep(20000);
  int there = 0;
  ioctl(s, FIONREAD, &there);
  say("one buffer is out: %d", there);
  CALL(fflush(out));
  CALL(fread(got, 1, 10, in));
  int left = 0;
  ioctl(s, FIONREAD, &left);
  say("and one is in: %d", left);
  CALL(fread(got, 1, 4990, in));
  pid_t kid = fork();
  if (kid == 0) {
    role("writer");
    CALL(fwrite(data, 1, sizeof data, out));
    CALL(fclose(out));
    exit(0);
  }
  CALL(fread(got, 1, sizeof got, in));
  say("same %d", same(got, sizeof got, 0));
  child_status(kid);
  fclose(out);
  say("end %d", fgetc(in) == EOF && feof(in));
  fclose(in);
}
