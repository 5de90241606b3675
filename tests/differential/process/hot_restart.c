/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

#include "../passing.h"

SCENARIO(
    "A hot restart: the old server passes its listener to a new program by SCM_RIGHTS, and goes: who is served?") {
  int u[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, u) != 0)
    give_up("socketpair");
  int l = listen_on(SOCK_CLOEXEC, 64);
  pid_t old = fork();
  if (old == 0) {
    role("old");
    char b;
    close(u[1]);
    serve(l, 2);
    CALL(send_fd(u[0], l));
    CALL(recv(u[0], &b, 1, MSG_WAITALL));
    CALL(close(l));
    _exit(0);
  }
  close(l);
  close(u[0]);
  pid_t new = fork();
  if (new == 0) {
    char p[8];
    snprintf(p, sizeof p, "%u", port);
    dup2(u[1], 30);
    dup2(30, 3);
    closefrom(4);
    execl(self, "scenario", "image_takes_listener", p, (char *)NULL);
    _exit(127);
  }
  close(u[1]);
  for (int i = 0; i < 5; i++)
    use_server();
  child_status(old);
  child_status(new);
}
