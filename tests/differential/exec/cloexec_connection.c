/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"

SCENARIO("Does a connection marked close-on-exec end with its last holder's exec?") {
  int s, c;
  char b;
  pair(&s, &c);
  fcntl(s, F_SETFD, FD_CLOEXEC);
  pid_t kid = fork();
  if (kid == 0) {
    close(c);
    write_all(s, 100, 0, 100);
    execl("/bin/sleep", "sleep", "1", (char *)NULL);
    _exit(1);
  }
  close(s);
  say("read %zu", read_all(c, 100, 0, 100));
  CALL(read(c, &b, 1));
  child_status(kid);
}
