/* SPDX-License-Identifier: Apache-2.0 */
#include "clone.h"

static char stack[256 << 10] __attribute__((aligned(16)));

static int close_both(void *arg) {
  int *fd = arg;
  close(fd[0]);
  close(fd[1]);
  return 3;
}

SCENARIO(
    "A child on its parent's memory, with descriptors of its own, closes them (CLONE_VM): what is its parent's?") {
  int fd[2];
  pair(&fd[0], &fd[1]);
  pid_t kid = clone(close_both, stack + sizeof stack, CLONE_VM | SIGCHLD, fd);
  if (kid < 0)
    say("clone: %s", errno_name(errno));
  else
    child_status(kid);
  say("wrote %zu", write_all(fd[0], 1000, 0, 1000));
  say("there %zu", read_all(fd[1], 1000, 0, 1000));
  close(fd[0]);
  close(fd[1]);
}
