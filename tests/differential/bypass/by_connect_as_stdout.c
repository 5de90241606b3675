/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("connect() is on descriptor 1, which was closed, and stdout prints there: is what it prints sealed?") {
  int l = listen_on(0, 8), keep = dup(1);
  char b[100];
  for (int dontwait = 0; dontwait < 2; dontwait++) {
    close(1);
    int c = socket(AF_INET, SOCK_STREAM | (dontwait ? SOCK_NONBLOCK : 0), 0);
    say("number %d", c);
    if (connect_to(c, port) != 0)
      wait_mask(c, POLLOUT, POLLOUT);
    fill(b, 100, 0);
    fwrite(b, 1, 100, stdout);
    fflush(stdout);
    int s = accept(l, NULL, NULL);
    say("read %zu", read_all(s, 100, 0, 100));
    write_all(s, 100, 0, 100);
    wait_mask(c, POLLIN, POLLIN);
    say("read %zu", read_all(c, 100, 0, 100));
    dup2(keep, 1);
    CALL(read(s, b, 1));
    close(s);
  }
}
