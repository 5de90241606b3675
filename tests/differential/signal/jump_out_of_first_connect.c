/* SPDX-License-Identifier: Apache-2.0 */
#include "signal.h"

#define IMAGES 60

static pid_t start(int us) {
  char p[8], after[8];
  snprintf(p, sizeof p, "%u", port);
  snprintf(after, sizeof after, "%d", us);
  pid_t pid = fork();
  if (pid == 0) {
    execl(self, self, "image_jumps_out", p, after, (char *)NULL);
    _exit(127);
  }
  return pid;
}

SCENARIO("May a handler leave a program's first connect() by siglongjmp(), and does the next one work?") {
  int l = listen_on(SOCK_CLOEXEC, 2 * IMAGES), good = 0, status;
  pid_t pid[IMAGES];
  for (int i = 0; i < IMAGES; i++)
    pid[i] = start(1 + i * 20);
  for (int i = 0; i < IMAGES; i++)
    good += waitpid(pid[i], &status, 0) == pid[i] && status == 0;
  say("connected afterwards: %d", good);
  close(l);
}
