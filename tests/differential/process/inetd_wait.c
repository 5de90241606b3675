/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

SCENARIO("inetd's \"wait\": a server is started with the listener as its standard input; does it serve, and inetd "
         "after it?") {
  int l = listen_on(SOCK_CLOEXEC, 8);
  for (int i = 0; i < 2; i++) {
    pid_t kid = fork();
    if (kid == 0) {
      char p[8];
      snprintf(p, sizeof p, "%u", port);
      dup2(l, 0);
      closefrom(3);
      execl(self, "scenario", "image_standard_listener", p, (char *)NULL);
      _exit(127);
    }
    use_server();
    use_server();
    child_status(kid);
  }
  pid_t kid = fork();
  if (kid == 0) {
    serve(l, 1);
    _exit(0);
  }
  use_server();
  child_status(kid);
}
