/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <aio.h>
#include <sched.h>
#include <sys/syscall.h>

SCENARIO("Does a child work that has the connection on its standard streams?") {
  int s, c;
  pair(&s, &c);
  pid_t kid = fork();
  if (kid == 0) {
    dup2(s, 0);
    dup2(s, 1);
    close(s);
    close(c);
    execl("/bin/cat", "cat", (char *)NULL);
    _exit(127);
  }
  close(s);
  say("wrote %zu", write_all(c, 1000, 0, 1000));
  shutdown(c, SHUT_WR);
  say("back %zu", read_all(c, 1000, 0, 1000));
  char b;
  CALL(read(c, &b, 1));
  child_status(kid);
}
