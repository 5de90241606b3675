/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"

/* What an inetd is to start is not there: its child has the connection as its standard streams by then, and ends. */
SCENARIO(
    "exec fails once the connection is 0 and 1: does the peer hear of the child's end, and what it said before?") {
  for (int first = 0; first < 2; first++) {
    int s, c;
    char line[100];
    struct step closed;
    say("-- %s", first ? "the parent closes first" : "the parent closes last");
    step_init(&closed);
    pair(&s, &c);
    pid_t kid = fork();
    if (kid == 0) {
      if (first)
        step_wait(&closed);
      dup2(s, 0);
      dup2(s, 1);
      for (int n = 3; n < 40; n++)
        close(n);
      execl("/nonexistent/program", "program", (char *)NULL);
      (void)!write(1, "not there\n", 10);
      _exit(127);
    }
    if (first) {
      close(s);
      step_go(&closed);
    }
    child_status(kid);
    if (!first)
      close(s);
    say("read %zd", recv(c, line, 10, MSG_WAITALL));
    CALL(read(c, line, 1));
    close(c);
  }
}
