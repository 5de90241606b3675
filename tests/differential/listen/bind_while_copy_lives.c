/* SPDX-License-Identifier: Apache-2.0 */
#include "listen.h"

SCENARIO("Is the port busy as long as any copy of the listener lives?") {
  int l = listen_on(0, 8);
  struct step done;
  step_init(&done);
  CALL(try_bind(0));
  pid_t kid = fork();
  if (kid == 0) {
    step_wait(&done);
    _exit(0);
  }
  CALL(close(l));
  CALL(try_bind(0));
  CALL(try_bind(1));
  step_go(&done);
  child_status(kid);
  CALL(try_bind(0));
}
