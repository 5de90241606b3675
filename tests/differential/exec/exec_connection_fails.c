/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"

SCENARIO("exec fails (no such file, no permission, no format): is a connection above 2 what it was?") {
  int s, c, ep = epoll_create1(0);
  char path[] = "/tmp/scenario-XXXXXX";
  char *argv[] = {path, NULL};
  struct epoll_event e = {.events = EPOLLIN, .data.u64 = 9};
  pair(&s, &c);
  CALL(epoll_ctl(ep, EPOLL_CTL_ADD, s, &e));
  int f = mkstemp(path);
  write_all(f, 100, 0, 100);
  fchmod(f, 0755);
  close(f);
  CALL(execv("/nowhere/at/all", argv));
  CALL(execvp("no-such-program-anywhere", argv));
  CALL(execv("/etc/passwd", argv));
  CALL(execv(path, argv));
  CALL(fexecve(s, argv, environ));
  unlink(path);
  say("close-on-exec %d", fcntl(s, F_GETFD));
  write_all(c, 1000, 0, 1000);
  CALL(epoll_wait(ep, &e, 1, 1000));
  say("read %zu", read_all(s, 1000, 0, 100));
  say("wrote %zu", write_all(s, 1000, 0, 100));
  say("read %zu", read_all(c, 1000, 0, 1000));
  close(s);
  CALL(read(c, path, 1));
}
