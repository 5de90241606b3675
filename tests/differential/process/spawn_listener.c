/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

#include <spawn.h>

extern char **environ;

SCENARIO("posix_spawn() moves a listener to descriptor 3 of another image: does it serve there, and here no more?") {
  int l = listen_on(SOCK_CLOEXEC, 8);
  posix_spawn_file_actions_t a;
  pid_t kid;
  char p[8];
  if (l == 3) {
    int m = fcntl(l, F_DUPFD_CLOEXEC, 10);
    close(l);
    l = m;
  }
  snprintf(p, sizeof p, "%u", port);
  char *argv[] = {(char *)(uintptr_t) "scenario", (char *)(uintptr_t) "image_accept", p, NULL};
  posix_spawn_file_actions_init(&a);
  posix_spawn_file_actions_adddup2(&a, l, 3);
  posix_spawn_file_actions_addclosefrom_np(&a, 4);
  say("posix_spawn: %s", errno_name(posix_spawn(&kid, self, &a, NULL, argv, environ)));
  posix_spawn_file_actions_destroy(&a);
  close(l);
  int c = client_socket(0);
  CALL(connect_to(c, port));
  say("wrote %zu", write_all(c, 1000, 0, 300));
  say("read %zu", read_all(c, 1000, 0, 1000));
  CALL(close(c));
  child_status(kid);
}
