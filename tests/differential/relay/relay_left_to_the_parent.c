/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

/* A child prints on the connection and goes, as git's and a shell's do. */
static void child_prints(int s, const char *text) {
  pid_t kid = fork();
  if (kid == 0) {
    dup2(s, 1);
    close(s);
    printf("%s\n", text);
    fflush(stdout);
    _exit(0);
  }
  child_status(kid);
}

SCENARIO("A child had the connection on its standard output: do its parent's numbers go on, in both directions?") {
  int s, c;
  char b[100];
  pair(&s, &c);
  int d = dup(s);
  write_all(c, 20, 0, 20);
  say_wait("before", s, POLLIN);
  CALL(read(s, b, 10));
  child_prints(s, "from the child");
  CALL(read(c, b, 15));
  say("%.14s", b);
  CALL(read(d, b, 10));
  say("in order: %d", same(b, 10, 10));
  CALL(write(s, "from the parent", 15));
  CALL(recv(c, b, 15, MSG_WAITALL));
  say("%.15s", b);
  child_prints(d, "once more");
  CALL(recv(c, b, 10, MSG_WAITALL));
  CALL(write(c, "answer", 6));
  say_wait("answer", s, POLLIN);
  CALL(recv(s, b, sizeof b, 0));
  CALL(close(s));
  CALL(shutdown(d, SHUT_WR));
  CALL(read(c, b, 1));
  CALL(write(c, "last", 4));
  CALL(recv(d, b, sizeof b, MSG_WAITALL & 0));
  CALL(close(d));
}
