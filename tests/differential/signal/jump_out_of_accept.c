/* SPDX-License-Identifier: Apache-2.0 */
#include "signal.h"

SCENARIO("May a handler leave a blocked accept() by siglongjmp()?") {
  int l = listen_on(0, 8), c = client_socket(0);
  on(jumps, SA_NODEFER);
  pid_t kid = signal_soon();
  if (sigsetjmp(back, 1) == 0)
    CALL(accept(l, NULL, NULL));
  else
    say("jumped out");
  reap(kid);
  CALL(connect_to(c, port));
  int s = accept(l, NULL, NULL);
  say("wrote %zu", write_all(c, 100, 0, 100));
  say("read %zu", read_all(s, 100, 0, 100));
  CALL(close(l));
}
