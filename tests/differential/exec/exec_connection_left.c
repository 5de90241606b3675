/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"

SCENARIO("Connections are left open in images that do not know of them: do they go on, and end when all are gone?") {
  int s, c;
  char b[10];
  pair(&s, &c);
  pid_t kid = fork();
  if (kid == 0) {
    close(c);
    execl("/bin/sleep", "sleep", "0.3", (char *)NULL);
    _exit(127);
  }
  say("wrote %zu", write_all(s, 1000, 0, 100));
  say("read %zu", read_all(c, 1000, 0, 1000));
  close(s);
  CALL(recv(c, b, 1, MSG_DONTWAIT));
  CALL(read(c, b, 1));
  child_status(kid);
  for (int i = 0; i < 3; i++) {
    pair(&s, &c);
    kid = fork();
    if (kid == 0) {
      execl("/bin/sh", "sh", "-c", "/bin/true; exit 5", (char *)NULL);
      _exit(127);
    }
    child_status(kid);
    say("wrote %zu", write_all(s, 1000, 0, 100));
    say("read %zu", read_all(c, 1000, 0, 1000));
    close(s);
    CALL(read(c, b, 1));
    close(c);
  }
}
