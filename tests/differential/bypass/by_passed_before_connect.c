/* SPDX-License-Identifier: Apache-2.0 */
#include "bypass.h"

SCENARIO("SCM_RIGHTS made a second number of a socket, which is then connected by the first: does a write cross in "
         "clear?") {
  int l = listen_on(0, 8), c = client_socket(0), d = passed(c);
  char b[100];
  CALL(connect_to(c, port));
  int s = accept(l, NULL, NULL);
  fill(b, 100, 0);
  CALL(write(d, b, 100));
  close(d);
  say("wrote %zu", write_all(c, 100, 0, 100));
  say("read %zu", read_all(s, 100, 0, 100));
}
