/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

SCENARIO("An inetd accepts, forks and closes its own number: is the child's life the connection's?") {
  for (int i = 0; i < 5; i++) {
    int s, c;
    char b[200];
    pair(&s, &c);
    pid_t kid = fork();
    if (kid == 0) {
      for (int fd = 0; fd <= 2; fd++)
        dup2(s, fd);
      closefrom(3);
      execl("/bin/sh", "sh", "-c", "read x; echo \"got $x\"; echo to stderr >&2; exit 3", (char *)NULL);
      _exit(127);
    }
    close(s);
    CALL(write(c, "line\n", 5));
    size_t n = 0;
    ssize_t k;
    while ((k = read(c, b + n, sizeof b - 1 - n)) > 0)
      n += (size_t)k;
    b[n] = 0;
    say("%s(%zd)", b, k);
    child_status(kid);
    close(c);
  }
}
