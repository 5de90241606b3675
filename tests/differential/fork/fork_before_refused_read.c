/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

static void so_error(int c) {
  int e = -1;
  socklen_t len = sizeof e;
  CALL(getsockopt(c, SOL_SOCKET, SO_ERROR, &e, &len));
  say("SO_ERROR %s", errno_name(e));
}

SCENARIO("A socket from before fork() was refused and its error asked for: do reads end, in both processes?") {
  char b[10];
  for (int nonblock = 0; nonblock < 2; nonblock++) {
    int c = client_socket(nonblock ? SOCK_NONBLOCK : 0);
    struct step end;
    step_init(&end);
    pid_t kid = fork();
    if (kid == 0) {
      role("child");
      step_wait(&end);
    } else {
      CALL(connect_to(c, port));
      wait_mask(c, POLLIN | POLLOUT, POLLHUP);
      so_error(c);
    }
    CALL(read(c, b, sizeof b));
    CALL(recv(c, b, sizeof b, MSG_PEEK));
    CALL(recv(c, b, sizeof b, MSG_DONTWAIT | MSG_WAITALL));
    CALL(send(c, b, sizeof b, MSG_NOSIGNAL));
    if (kid == 0)
      _exit(0);
    step_go(&end);
    child_status(kid);
    close(c);
  }
}
