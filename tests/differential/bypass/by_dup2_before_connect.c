/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO(
    "dup2() put a socket on descriptor 1, and then it is connected by its other number: is what is printed sealed?") {
  int l = listen_on(0, 8), c = client_socket(0), keep = dup(1);
  char b[100];
  fflush(stdout);
  CALL(dup2(c, 1));
  CALL(connect_to(c, port));
  fill(b, 100, 0);
  fwrite(b, 1, 100, stdout);
  fflush(stdout);
  int s = accept(l, NULL, NULL);
  say("read %zu", read_all(s, 100, 0, 100));
  say("wrote %zu", write_all(c, 100, 0, 100));
  say("read %zu", read_all(s, 100, 0, 100));
  dup2(keep, 1);
  close(c);
  CALL(read(s, b, 1));
}
