/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

SCENARIO("A connection is accepted as root and used as nobody, by printf() too: does it go on?") {
  int s, c;
  char line[100];
  pair(&s, &c);
  pid_t kid = fork();
  if (kid == 0) {
    role("nobody");
    close(c);
    become_nobody();
    say("wrote %zu", write_all(s, 1000, 0, 1000));
    say("read %zu", read_all(s, 1000, 0, 1000));
    CALL(dup2(s, 1));
    close(s);
    printf("a line\n");
    exit(0);
  }
  close(s);
  say("read %zu", read_all(c, 1000, 0, 1000));
  say("wrote %zu", write_all(c, 1000, 0, 1000));
  FILE *f = fdopen(c, "r");
  say("%s", fgets(line, sizeof line, f));
  say("end %d", fgets(line, sizeof line, f) == NULL);
  child_status(kid);
}
