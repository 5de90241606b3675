/* SPDX-License-Identifier: Apache-2.0 */
#include "clone.h"

static pid_t by_number(struct served *v) {
  pid_t pid = (pid_t)syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L);
  if (pid == 0)
    syscall(SYS_exit_group, serve_one(v));
  return pid;
}

SCENARIO("Is a child made by the bare system call clone a holder of its own?") { children_by(by_number); }
