/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <linux/close_range.h>
#include <sched.h>
#include <sys/syscall.h>

enum { BY_FUNCTION, BY_SYSCALL, BY_CLOSE_RANGE, WAYS };
static int way, fd[2];

/* Takes a table of descriptors of its own, and closes what is in it. */
static void *apart(void *arg) {
  long rc = 0;
  role("thread");
  if (way == BY_FUNCTION)
    rc = CALL(unshare(CLONE_FILES));
  else if (way == BY_SYSCALL)
    rc = CALL(syscall(SYS_unshare, CLONE_FILES | CLONE_SYSVSEM));
  else
    rc = CALL(close_range((unsigned)fd[0], (unsigned)fd[0], CLOSE_RANGE_UNSHARE));
  if (rc == 0) {
    close(fd[0]);
    close(fd[1]);
  }
  return arg;
}

SCENARIO("A thread takes a table of descriptors of its own and closes all: what is the others'?") {
  for (way = 0; way < WAYS; way++) {
    pair(&fd[0], &fd[1]);
    pthread_join(thread(apart, NULL), NULL);
    say("wrote %zu", write_all(fd[0], 1000, 0, 1000));
    say("there %zu", read_all(fd[1], 1000, 0, 1000));
    close(fd[0]);
    close(fd[1]);
  }
}
