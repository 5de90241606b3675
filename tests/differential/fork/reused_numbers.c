/* SPDX-License-Identifier: Apache-2.0 */
#include "fork.h"

SCENARIO("Is a number that is given out again never taken for what it was?") {
  int l = listen_on(0, 8);
  for (int i = 0; i < 5; i++) {
    int c = client_socket(0);
    connect_to(c, port);
    int s = accept(l, NULL, NULL);
    close(c);
    close(s);
    int p[2];
    CALL(pipe(p));
    CALL(write(p[1], "abc", 3));
    char b[4];
    CALL(read(p[0], b, 4));
    close(p[0]);
    close(p[1]);
    int u = socket(AF_INET, SOCK_DGRAM, 0);
    CALL(listen(u, 5));
    close(u);
  }
}
