/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

/* svidwrap refuses it, as after fork() alone. */
SCENARIO(
    "A socket goes through a child's exec, and is connected by the parent then: does the image write in clear?") {
  int l = listen_on(SOCK_CLOEXEC, 8), c = client_socket(0), p[2], begun[2];
  char byte;
  if (pipe(p) != 0 || pipe2(begun, O_CLOEXEC) != 0)
    give_up("pipe");
  pid_t kid = fork();
  if (kid == 0) {
    char arg[8];
    snprintf(arg, sizeof arg, "%u", port);
    dup2(p[0], 40);
    dup2(c, 41);
    dup2(40, 4);
    dup2(41, 5);
    dup3(begun[1], 6, O_CLOEXEC);
    closefrom(7);
    execl(self, "scenario", "image_writes", arg, (char *)NULL);
    _exit(127);
  }
  close(begun[1]);
  if (read(begun[0], &byte, 1) != 0) /* its exec has closed the other end */
    give_up("the image");
  until_asleep(kid); /* the image starts before, and after is what the others ask */
  close(begun[0]);
  CALL(connect_to(c, port));
  CALL(write(p[1], "x", 1));
  child_status(kid);
  int s = accept(l, NULL, NULL);
  say("wrote %zu", write_all(c, 100, 0, 100));
  say("read %zu", read_all(s, 100, 0, 100));
}
