/* SPDX-License-Identifier: Apache-2.0 */
#include "connection.h"

SCENARIO("The parent keeps the connection that its child's image has as well: do both go on, and who ends it?") {
  int s, c;
  char b[10];
  pair(&s, &c);
  write_all(c, 5000, 0, 5000);
  pid_t kid = fork();
  if (kid == 0) {
    close(c);
    ready_for_image(s, false);
    start_image("image_talks", EXECVE);
  }
  say("read %zu", read_all(c, 20000, 0, 5000));
  CALL(read(c, b, 1));
  write_all(c, 10, 0, 10);
  child_status(kid);
  CALL(send(s, "x", 1, MSG_NOSIGNAL));
  write_all(c, 10, 0, 10);
  CALL(recv(s, b, 10, MSG_WAITALL));
  close(s);
  CALL(write(c, "x", 1));
}
