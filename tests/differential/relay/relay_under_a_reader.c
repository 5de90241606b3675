/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

SCENARIO("The parent waits in read() while its child takes the connection to its standard output: does it read on, "
         "and end?") {
  int s, c;
  char b[100];
  struct step go;
  pair(&s, &c);
  step_init(&go);
  pid_t kid = fork();
  if (kid == 0) {
    role("child");
    until_asleep(getppid());
    dup2(s, 1);
    say("wrote %zd", write(1, "child", 5));
    close(s);
    close(1);
    step_wait(&go);
    say("wrote %zu", write_all(c, 30, 0, 30));
    close(c);
    _exit(0);
  }
  CALL(recv(c, b, 5, MSG_WAITALL));
  CALL(close(c));
  step_go(&go);
  say("read %zu", read_all(s, 30, 0, 30));
  CALL(read(s, b, 1));
  CALL(close(s));
  child_status(kid);
}
