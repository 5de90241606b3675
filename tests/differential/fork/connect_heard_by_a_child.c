/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("After a non-blocking connect(), does the connect() that answers 0 answer it to one process only?") {
  int l = listen_on(0, 8), c = client_socket(SOCK_NONBLOCK);
  CALL(connect_to(c, port));
  say_wait("client", c, POLLOUT);
  pid_t pid = fork();
  if (pid == 0) {
    role("child");
    CALL(connect_to(c, port));
    CALL(connect_to(c, port));
    _exit(0);
  }
  child_status(pid);
  CALL(connect_to(c, port));
  close(l);
}
