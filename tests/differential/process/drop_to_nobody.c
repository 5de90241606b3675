/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

SCENARIO("A server listens as root and serves as nobody: does it go on serving, and connect as well?") {
  pid_t kid = served_by(become_nobody, 3);
  for (int i = 0; i < 3; i++)
    use_server();
  child_status(kid);
  int l = listen_on(0, 8);
  kid = fork();
  if (kid == 0) {
    role("client");
    close(l);
    become_nobody();
    use_server();
    _exit(0);
  }
  serve(l, 1);
  child_status(kid);
}
