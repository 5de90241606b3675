/* SPDX-License-Identifier: Apache-2.0 */
#include "stress.h"

SCENARIO("Do servers that fork for each of many clients at once serve them all?") {
  int l = listen_on(0, 64);
  pid_t server = fork();
  if (server == 0) {
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
      int s = accept(l, NULL, NULL);
      if (fork() == 0) {
        char b[4096];
        ssize_t n;
        close(l);
        while ((n = read(s, b, sizeof b)) > 0) {
          if (write(s, b, (size_t)n) != n)
            break;
        }
        _exit(0);
      }
      close(s);
    }
  }
  close(l);
  pid_t kid[6];
  for (unsigned i = 0; i < 6; i++) {
    if ((kid[i] = fork()) == 0) {
      role("client");
      int good = 0;
      for (unsigned k = 0; k < 15; k++)
        good += one_exchange(i * 1000 + k);
      _exit(good);
    }
  }
  for (int i = 0; i < 6; i++)
    child_status(kid[i]);
  kill(server, SIGKILL);
  child_status(server);
}
