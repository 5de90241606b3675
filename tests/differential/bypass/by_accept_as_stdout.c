/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

/* A daemon that closed its standard streams and prints all the same. */
SCENARIO("accept() gives descriptor 1, which was closed, and stdout prints there: is what it prints sealed?") {
  int l = listen_on(0, 8), c = client_socket(0), keep = dup(1);
  char b[100];
  connect_to(c, port);
  close(1);
  int s = accept(l, NULL, NULL);
  say("number %d", s);
  fill(b, 100, 0);
  fwrite(b, 1, 100, stdout);
  fflush(stdout);
  say("read %zu", read_all(c, 100, 0, 100));
  write_all(c, 100, 0, 100);
  say("read %zu", read_all(s, 100, 0, 100));
  struct sockaddr_in a;
  socklen_t len = sizeof a;
  CALL(getpeername(s, (struct sockaddr *)&a, &len));
  dup2(keep, 1);
  CALL(read(c, b, 1));
}
