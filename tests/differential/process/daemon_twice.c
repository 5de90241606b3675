/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

/* The textbook's way to a daemon: fork, setsid, fork, every descriptor closed, three opened. */
static void become_daemon(int keep) {
  if (setsid() < 0 || (fork() != 0 && (_exit(0), true)))
    give_up("daemon");
  for (int fd = 0; fd < 256; fd++) {
    if (fd != keep)
      close(fd);
  }
  open("/dev/null", O_RDWR);
  (void)!dup(0);
  (void)!dup(0);
  if (chdir("/") != 0)
    give_up("chdir");
}

SCENARIO(
    "A daemon is made by two forks, setsid() and closing all: do its listeners serve, from before it and after?") {
  for (int before = 0; before < 2; before++) {
    int l = before ? listen_on(0, 8) : -1;
    pid_t kid = fork();
    if (kid == 0) {
      become_daemon(before ? l : -1);
      role(before ? "listened before" : "listens after");
      if (!before)
        l = listen_on(0, 8);
      say("number %d", l > 2);
      serve(l, 2);
      CALL(close(l));
      _exit(0);
    }
    child_status(kid);
    if (before)
      close(l);
    int c = -1;
    for (int i = 0; i < 500 && c < 0; i++) {
      c = client_socket(0);
      if (connect_to(c, port) != 0) {
        close(c);
        c = -1;
        nap(10);
      }
    }
    say("back %zu", write_all(c, 1000, 0, 1000) == 1000 ? read_all(c, 1000, 0, 1000) : 0);
    close(c);
    use_server();
    nap(1000);
  }
}
