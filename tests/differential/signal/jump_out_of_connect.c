/* SPDX-License-Identifier: Apache-2.0 */
#include "signal.h"

SCENARIO("May a handler leave a blocked connect() by siglongjmp()?") {
  close(listen_on(0, 8)); /* whatever has to be there before a first connect() is there */
  int c = client_socket(0);
  on(jumps, SA_NODEFER);
  pid_t kid = signal_soon();
  if (sigsetjmp(back, 1) == 0)
    CALL(connect_to(c, dead_port));
  else
    say("jumped out");
  reap(kid);
  say_poll("still in progress", c, POLLIN | POLLOUT, 30);
  CALL(close(c));
  int l = listen_on(0, 8), d = client_socket(0);
  CALL(connect_to(d, port));
  CALL(close(l));
}
