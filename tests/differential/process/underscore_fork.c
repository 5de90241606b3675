/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

SCENARIO("_Fork() and execveat(): does the child have the connection, and its image too?") {
  int s, c;
  char b;
  pair(&s, &c);
  pid_t kid = _Fork();
  if (kid == 0) {
    close(c);
    write_all(s, 1000, 0, 300);
    _exit(0);
  }
  close(s);
  say("read %zu", read_all(c, 1000, 0, 1000));
  CALL(read(c, &b, 1));
  child_status(kid);
  close(c);
  pair(&s, &c);
  kid = _Fork();
  if (kid == 0) {
    char *argv[] = {(char *)(uintptr_t) "cat", NULL};
    close(c);
    dup2(s, 0);
    dup2(s, 1);
    close(s);
    int dir = open("/bin", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    execveat(dir, "cat", argv, environ, 0);
    _exit(127);
  }
  close(s);
  say("wrote %zu", write_all(c, 1000, 0, 1000));
  shutdown(c, SHUT_WR);
  say("back %zu", read_all(c, 1000, 0, 1000));
  CALL(read(c, &b, 1));
  child_status(kid);
}
