/* SPDX-License-Identifier: Apache-2.0 */
#include "fork.h"

SCENARIO("Do prefork workers share a listener?") {
  int l = listen_on(0, 32);
  pid_t kid[3];
  for (int i = 0; i < 3; i++) {
    if ((kid[i] = fork()) != 0)
      continue;
    for (;;) {
      char q;
      int s = accept(l, NULL, NULL);
      if (s < 0)
        _exit(1);
      if (read(s, &q, 1) == 1 && q == 'q')
        _exit(0);
      write_all(s, 1000, 0, 100);
      close(s);
    }
  }
  close(l);
  size_t good = 0;
  for (int i = 0; i < 12 + 3; i++) {
    int c = client_socket(0);
    if (connect_to(c, port) != 0)
      give_up("connect");
    if (write(c, i < 12 ? "x" : "q", 1) == 1 && i < 12)
      good += read_all(c, 1000, 0, 1000) == 1000;
    char end;
    good += i < 12 && read(c, &end, 1) == 0;
    close(c);
  }
  say("served and ended %zu", good);
  for (int i = 0; i < 3; i++)
    child_status(kid[i]);
}
