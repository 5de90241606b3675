/* SPDX-License-Identifier: Apache-2.0 */
#include "clone.h"

static pid_t by_number(struct served *v) {
  struct {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
  } args = {.exit_signal = SIGCHLD};
  pid_t pid = (pid_t)syscall(435 /* clone3 */, &args, sizeof args);
  if (pid == 0)
    _exit(serve_one(v));
  return pid;
}

SCENARIO("Is a child made by the bare system call clone3 a holder of its own?") { children_by(by_number); }
