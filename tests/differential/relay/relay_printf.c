/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

SCENARIO("Do printf() and fgets() work on a connection that became 0 and 1 of the same process?") {
  int s, c;
  char line[100];
  pair(&s, &c);
  pid_t kid = fork();
  if (kid == 0) {
    close(c);
    dup2(s, 0);
    dup2(s, 1);
    close(s);
    while (fgets(line, sizeof line, stdin))
      printf("you said %s", line);
    exit(7);
  }
  close(s);
  CALL(write(c, "one\ntwo\n", 8));
  shutdown(c, SHUT_WR);
  FILE *f = fdopen(c, "r");
  while (fgets(line, sizeof line, f))
    say("%s", line);
  say("end %d", feof(f) != 0);
  child_status(kid);
}
