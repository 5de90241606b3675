/* SPDX-License-Identifier: Apache-2.0 */
#include "clone.h"

static char stack[256 << 10] __attribute__((aligned(16)));

static int writes(void *arg) { return write_all(*(int *)arg, 1000, 0, 1000) == 1000 ? 3 : 4; }

static pid_t by_number(long flags, int *fd) {
  pid_t pid = (pid_t)syscall(SYS_clone, flags, 0, 0, 0, 0);
  if (pid == 0)
    _exit(writes(fd) + 2);
  return pid;
}

static void child(const char *how, pid_t kid) {
  if (kid < 0)
    say("%s: %s", how, errno_name(errno));
  else
    child_status(kid);
}

SCENARIO(
    "A child with a memory of its own has its parent's descriptors in common with it (CLONE_FILES): who protects "
    "what it writes?") {
  int fd[2];
  pair(&fd[0], &fd[1]);
  child("clone", clone(writes, stack + sizeof stack, CLONE_FILES | SIGCHLD, fd));
  child("SYS_clone", by_number(CLONE_FILES | SIGCHLD, fd));
  say("wrote %zu", write_all(fd[0], 1000, 0, 1000));
  close(fd[0]);
  char b[4000];
  size_t there = 0;
  for (ssize_t n; (n = read(fd[1], b, sizeof b)) > 0;)
    there += (size_t)n;
  say("all of the parent's is there: %d", there >= 1000);
  close(fd[1]);
}
