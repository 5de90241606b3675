/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO(
    "A child of vfork() connects, talks and ends: are these bytes protected, and does its parent connect after it?") {
  struct step ready;
  int s, c;
  step_init(&ready);
  pid_t server = fork();
  if (server == 0) {
    role("server");
    int l = listen_on(0, 5);
    step_go(&ready);
    s = accept(l, NULL, NULL);
    say("there %zu", read_all(s, 1000, 0, 1000));
    _exit(0);
  }
  step_wait(&ready);
  pid_t kid = vfork();
  if (kid == 0) {
    c = client_socket(0);
    if (connect_to(c, port) != 0)
      _exit(4);
    _exit(write_all(c, 1000, 0, 1000) == 1000 ? 3 : 5);
  }
  child_status(kid);
  child_status(server);
  pair(&s, &c);
  say("wrote %zu", write_all(s, 1000, 0, 1000));
  say("there %zu", read_all(c, 1000, 0, 1000));
}
