/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

SCENARIO("Socket activation: a manager listens, and starts the server with LISTEN_FDS at the first connection") {
  int l = listen_on(SOCK_CLOEXEC, 8), c = client_socket(0);
  CALL(connect_to(c, port));
  say_wait("the manager sees", l, POLLIN);
  pid_t kid = fork();
  if (kid == 0) {
    char p[8], pid[32], marker[128];
    snprintf(p, sizeof p, "%u", port);
    snprintf(pid, sizeof pid, "LISTEN_PID=%d", getpid());
    snprintf(marker, sizeof marker, "SCENARIO_MARKER=%s", getenv("SCENARIO_MARKER"));
    char *argv[] = {(char *)(uintptr_t) "scenario", (char *)(uintptr_t) "image_listen_fds", p, NULL};
    char *envp[] = {marker, pid, (char *)(uintptr_t) "LISTEN_FDS=1", NULL};
    int m = dup(l);
    dup2(m, 3);
    fcntl(3, F_SETFD, 0);
    closefrom(4);
    execve(self, argv, envp);
    _exit(127);
  }
  say("wrote %zu", write_all(c, 1000, 0, 1000));
  say("back %zu", read_all(c, 1000, 0, 1000));
  child_status(kid);
}
