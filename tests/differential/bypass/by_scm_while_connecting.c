/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO(
    "A connection that nobody has looked at since connect() answered EINPROGRESS comes to descriptor 1: sealed?") {
  int l = listen_on(0, 8), keep = dup(1);
  char b[100];
  int c = client_socket(SOCK_NONBLOCK);
  CALL(connect_to(c, port));
  int s = accept(l, NULL, NULL);
  fflush(stdout);
  CALL(dup2(c, 1));
  fill(b, 100, 0);
  fwrite(b, 1, 100, stdout);
  fflush(stdout);
  dup2(keep, 1);
  say("read %zu", read_all(s, 100, 0, 100));
}
