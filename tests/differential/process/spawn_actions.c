/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

#include <spawn.h>

extern char **environ;

static pid_t shell(const posix_spawn_file_actions_t *actions, const char *command) {
  pid_t kid = -1;
  char *argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c", (char *)(uintptr_t)command, NULL};
  say("posix_spawn: %s", errno_name(posix_spawn(&kid, "/bin/sh", actions, NULL, argv, environ)));
  return kid;
}

SCENARIO("posix_spawn() with every kind of file action, a connection among its descriptors: does the shell get it?") {
  for (int round = 0; round < 3; round++) {
    posix_spawn_file_actions_t a;
    int s, c, root = open("/usr", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char b[200];
    pair(&s, &c);
    posix_spawn_file_actions_init(&a);
    posix_spawn_file_actions_addopen(&a, 9, "/etc/passwd", O_RDONLY, 0);
    posix_spawn_file_actions_addclose(&a, 9);
    posix_spawn_file_actions_adddup2(&a, s, 0);
    posix_spawn_file_actions_adddup2(&a, 0, 1);
    if (round == 1)
      posix_spawn_file_actions_addclosefrom_np(&a, 3);
    if (round == 2) {
      posix_spawn_file_actions_addfchdir_np(&a, root);
      posix_spawn_file_actions_addclose(&a, s);
    } else {
      posix_spawn_file_actions_addchdir_np(&a, "/etc");
    }
    pid_t kid = shell(&a, "read x; echo \"got $x in $(pwd)\"; exit 4");
    posix_spawn_file_actions_destroy(&a);
    close(s);
    close(root);
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
