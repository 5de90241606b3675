/* SPDX-License-Identifier: Apache-2.0 */
#include "connect.h"

SCENARIO("What does connect() with AF_UNSPEC leave behind?") {
  int l, s, c;
  char buf[10];
  pair_keep(&l, &s, &c);
  struct sockaddr none = {.sa_family = AF_UNSPEC};
  CALL(connect(c, &none, sizeof none));
  say_peer(c);
  wait_mask(s, POLLIN, POLLIN);
  CALL(read(s, buf, sizeof buf));
  CALL(connect_to(c, port));
  int t = accept(l, NULL, NULL);
  say("wrote %zu", write_all(c, 100, 0, 100));
  say("read %zu", read_all(t, 100, 0, 100));
}
