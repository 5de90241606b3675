/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

SCENARIO("The kernel itself picks a standard stream's number: is that number sealed?") {
  int s, c;
  pair(&s, &c);
  pid_t kid = fork();
  if (kid == 0) {
    role("child");
    char b[5];
    close(c);
    close(0);
    CALL(dup(s));
    CALL(read(0, b, 5));
    close(0);
    CALL(fcntl(s, F_DUPFD_CLOEXEC, 0));
    say("close-on-exec %d", fcntl(0, F_GETFD));
    CALL(write(0, b, 5));
    _exit(0);
  }
  close(s);
  char b[5];
  CALL(write(c, "hello", 5));
  CALL(recv(c, b, 5, MSG_WAITALL));
  say_bytes("back", b, 5);
  child_status(kid);
  CALL(read(c, b, 1));
}
