/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

SCENARIO(
    "A client connects, then becomes a daemon by daemon(): does its connection go on, and end with the daemon?") {
  int l = listen_on(SOCK_CLOEXEC, 8);
  char b;
  pid_t kid = fork();
  if (kid == 0) {
    int c = client_socket(0);
    if (connect_to(c, port) != 0 || daemon(1, 1) != 0)
      give_up("daemon");
    role("daemon");
    say("wrote %zu", write_all(c, 5000, 0, 700));
    say("read %zu", read_all(c, 5000, 0, 700));
    exit(0);
  }
  int s = accept(l, NULL, NULL);
  child_status(kid);
  say("read %zu", read_all(s, 5000, 0, 5000));
  say("wrote %zu", write_all(s, 5000, 0, 5000));
  CALL(read(s, &b, 1));
}
