/* SPDX-License-Identifier: Apache-2.0 */
#include "listen.h"

SCENARIO("The server is killed with a connection open: does its successor get the port at once?") {
  struct step up;
  step_init(&up);
  for (int i = 0; i < 3; i++) {
    pid_t kid = fork();
    if (kid == 0) {
      int l = listen_on(0, 8), s;
      step_go(&up);
      s = accept(l, NULL, NULL);
      write_all(s, 10, 0, 10);
      pause();
    }
    step_wait(&up);
    int c = client_socket(0);
    CALL(connect_to(c, port));
    say("read %zu", read_all(c, 10, 0, 10));
    kill(kid, SIGKILL);
    child_status(kid);
    close(c);
    CALL(try_bind(1));
  }
}
