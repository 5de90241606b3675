/* SPDX-License-Identifier: Apache-2.0 */
#include "signal.h"

SCENARIO("Does a signal interrupt a blocked accept()?") {
  int l = listen_on(0, 8);
  on(counts, 0);
  pid_t kid = signal_soon();
  CALL(accept(l, NULL, NULL));
  reap(kid);
  on(counts, SA_RESTART);
  pid_t me = getpid();
  kid = fork();
  if (kid == 0) {
    until_asleep(me);
    kill(me, SIGUSR1);
    until_asleep(me);
    int c = client_socket(0);
    connect_to(c, port);
    write_all(c, 10, 0, 10);
    _exit(0);
  }
  int s = accept(l, NULL, NULL);
  say("accepted %d, read %zu, signals %d", s >= 0, read_all(s, 10, 0, 10), (int)caught);
  reap(kid);
}
