/* SPDX-License-Identifier: Apache-2.0 */
#include "listen.h"

SCENARIO("Do all numbers of a listener accept?") {
  int l = listen_on(0, 8), n[6];
  n[0] = (int)CALL(dup(l));
  n[1] = (int)CALL(dup2(l, 60));
  n[2] = (int)CALL(dup3(l, 61, O_CLOEXEC));
  n[3] = (int)CALL(fcntl(l, F_DUPFD, 70));
  n[4] = (int)CALL(fcntl(l, F_DUPFD_CLOEXEC, 70));
  close(l);
  for (int i = 0; i < 5; i++) {
    int c = client_socket(0);
    CALL(connect_to(c, port));
    int s = accept(n[i], NULL, NULL);
    write_all(c, 10, 0, 10);
    say("accepted %d, read %zu", s >= 0, read_all(s, 10, 0, 10));
    close(c);
    close(s);
    CALL(fcntl(n[i], F_GETFD));
    if (i < 4)
      CALL(close(n[i]));
  }
  CALL(fcntl(n[4], F_SETFL, O_NONBLOCK));
  CALL(accept(n[4], NULL, NULL));
  CALL(try_bind(1));
  CALL(close(n[4]));
  CALL(try_bind(1));
}
