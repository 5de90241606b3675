/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

SCENARIO(
    "Three processes have a listener each on one port, by SO_REUSEPORT: is everybody served, while one goes too?") {
  pid_t kid[3];
  struct step ready;
  step_init(&ready);
  for (int i = 0; i < 3; i++) {
    kid[i] = fork();
    if (kid[i] == 0) {
      int l = listen_in_group(0);
      step_go(&ready);
      serve(l, 1 << 20);
      _exit(0);
    }
    step_wait(&ready);
  }
  int good = 0;
  for (int i = 0; i < 30; i++) {
    if (i == 15) {
      kill(kid[1], SIGTERM);
      child_status(kid[1]);
      nap(1000);
    }
    int c = client_socket(0);
    good += connect_to(c, port) == 0 && write_all(c, 1000, 0, 1000) == 1000 && read_all(c, 1000, 0, 1000) == 1000;
    close(c);
  }
  say("served %d", good);
  kill(kid[0], SIGTERM);
  kill(kid[2], SIGTERM);
  child_status(kid[0]);
  child_status(kid[2]);
}
