/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("Do many connections, one after the other, behave the same?") {
  int l = listen_on(0, 16);
  size_t good = 0;
  for (unsigned i = 0; i < 100; i++) {
    int c = client_socket(0);
    if (connect_to(c, port) != 0)
      break;
    int s = accept(l, NULL, NULL);
    good += write_all(c, 10 + i, i, 1000) == 10 + i && read_all(s, 10 + i, i, 1000) == 10 + i;
    good += write_all(s, 10 + i, i, 1000) == 10 + i && read_all(c, 10 + i, i, 1000) == 10 + i;
    close(c);
    close(s);
  }
  say("good exchanges: %zu", good);
}
