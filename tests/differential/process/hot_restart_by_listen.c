/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

#include "../passing.h"

SCENARIO(
    "A hot restart: a new program sets options on listeners of one port that it was passed, calls listen() again and "
    "waits in epoll; the old one closes them: who is served, and what is inherited?") {
  int u[2], l[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, u) != 0)
    give_up("socketpair");
  for (int i = 0; i < 2; i++)
    l[i] = listen_in_group(SOCK_CLOEXEC);
  pid_t new = fork();
  if (new == 0) {
    char p[8];
    snprintf(p, sizeof p, "%u", port);
    dup2(u[1], 30);
    dup2(30, 3);
    closefrom(4);
    execl(self, "scenario", "image_listens_again", p, (char *)NULL);
    _exit(127);
  }
  close(u[1]);
  char b;
  CALL(send_fds(u[0], l, 2));
  CALL(recv(u[0], &b, 1, MSG_WAITALL)); /* the new one waits in epoll by now */
  CALL(close(l[0]));
  CALL(close(l[1]));
  for (int i = 0; i < 6; i++)
    use_server();
  CALL(write(u[0], "s", 1));
  child_status(new);
}
