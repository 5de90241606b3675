/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("After fork() a socket's connect() is refused, then made again: are both answers TCP's, in epoll too?") {
  int c = client_socket(0);
  char b[10];
  pid_t kid = fork();
  if (kid == 0) {
    sleep(1);
    _exit(0);
  }
  CALL(connect_to(c, port));
  CALL(send(c, "x", 1, MSG_NOSIGNAL));
  int l = listen_on(0, 8);
  CALL(connect_to(c, port));
  int s = accept(l, NULL, NULL);
  CALL(write(c, "hello", 5));
  CALL(recv(s, b, 5, MSG_WAITALL));
  CALL(connect_to(c, port));
  CALL(shutdown(c, SHUT_WR));
  CALL(read(s, b, 1));
  child_status(kid);
}
