/* SPDX-License-Identifier: Apache-2.0 */
#include "fork.h"

SCENARIO("Does a server work that forks for every connection?") {
  int l = listen_on(0, 32);
  pid_t server = fork();
  if (server == 0) {
    for (int i = 0; i < 5; i++) {
      int s = accept(l, NULL, NULL);
      if (fork() == 0) {
        close(l);
        size_t n = read_all(s, 1000, 0, 100);
        write_all(s, n, 0, 100);
        exit(0);
      }
      close(s);
    }
    while (wait(NULL) > 0) {
    }
    _exit(0);
  }
  close(l);
  for (int i = 0; i < 5; i++) {
    int c = client_socket(0);
    CALL(connect_to(c, port));
    write_all(c, 1000, 0, 1000);
    say("back %zu", read_all(c, 1000, 0, 1000));
    char end;
    CALL(read(c, &end, 1));
    close(c);
  }
  child_status(server);
}
