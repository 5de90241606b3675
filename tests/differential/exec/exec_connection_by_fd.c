/* SPDX-License-Identifier: Apache-2.0 */
#include "connection.h"

/* Which image that is nobody can tell beforehand: the relay has it, where no other process does. */
SCENARIO("A connection on descriptor 5 goes through fexecve(): does it go on there?") {
  int s, c;
  struct step closed;
  step_init(&closed);
  pair(&s, &c);
  write_all(c, 5000, 0, 5000);
  pid_t kid = fork();
  if (kid == 0) {
    char p[8];
    close(c);
    step_wait(&closed);
    int f = open(self, O_RDONLY | O_CLOEXEC);
    dup2(f, 60);
    fcntl(60, F_SETFD, FD_CLOEXEC);
    ready_for_image(s, false);
    snprintf(p, sizeof p, "%u", port);
    char *argv[] = {(char *)(uintptr_t) "scenario", (char *)(uintptr_t) "image_talks", p, NULL};
    fexecve(60, argv, environ);
    _exit(127);
  }
  close(s);
  step_go(&closed);
  talk_to_image(c, false, kid);
}
