/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

/* svidwrap refuses what the other process writes: its keys are where it was connected. */
SCENARIO(
    "A socket made before fork() is connected in one process, and the other one writes: does it cross in clear?") {
  int l = listen_on(0, 8);
  char b[100];
  fill(b, 100, 0);
  for (int child_connects = 0; child_connects < 2; child_connects++) {
    int c = client_socket(0);
    struct step connected, written;
    step_init(&connected);
    step_init(&written);
    pid_t kid = fork();
    if (kid == 0) {
      role(child_connects ? "connects" : "writes");
      if (child_connects) {
        CALL(connect_to(c, port));
        step_go(&connected);
        step_wait(&written);
        say("wrote %zu", write_all(c, 100, 0, 100));
      } else {
        step_wait(&connected);
        CALL(write(c, b, 100));
        CALL(close(c));
        step_go(&written);
      }
      _exit(0);
    }
    role(child_connects ? "writes too" : "connects too");
    if (child_connects) {
      step_wait(&connected);
      CALL(write(c, b, 100));
      step_go(&written);
    } else {
      CALL(connect_to(c, port));
      step_go(&connected);
      step_wait(&written);
      say("wrote %zu", write_all(c, 100, 0, 100));
    }
    role("main");
    int s = accept(l, NULL, NULL);
    say("read %zu", read_all(s, 100, 0, 100));
    child_status(kid);
    close(c);
    close(s);
  }
}
