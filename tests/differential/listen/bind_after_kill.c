/* SPDX-License-Identifier: Apache-2.0 */
#include "listen.h"

SCENARIO("Is the port free after its holder was killed?") {
  struct step up;
  step_init(&up);
  for (int i = 0; i < 5; i++) {
    pid_t kid = fork();
    if (kid == 0) {
      int l = listen_on(0, 8);
      step_go(&up);
      pause();
      close(l);
    }
    step_wait(&up);
    CALL(try_bind(0));
    kill(kid, SIGKILL);
    child_status(kid);
    CALL(try_bind(0));
  }
}
