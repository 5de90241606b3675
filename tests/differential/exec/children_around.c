/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"

SCENARIO("Children of every kind come and go: is the parent's connection untouched?") {
  int s, c, l;
  pair_keep(&l, &s, &c);
  char *argv[] = {(char *)(uintptr_t) "true", NULL};
  pid_t kid = vfork();
  if (kid == 0) {
    for (int i = 3; i < 30; i++)
      close(i);
    execv("/bin/true", argv);
    _exit(1);
  }
  child_status(kid);
  CALL(posix_spawn(&kid, "/bin/true", NULL, NULL, argv, environ));
  child_status(kid);
  CALL(posix_spawnp(&kid, "true", NULL, NULL, argv, environ));
  child_status(kid);
  CALL(system("exit 3"));
  FILE *f = popen("echo from the shell", "r");
  char line[64] = "";
  say("popen: %s", fgets(line, sizeof line, f) ? "a line" : "nothing");
  CALL(pclose(f));
  say("wrote %zu", write_all(c, 1000, 0, 1000));
  say("read %zu", read_all(s, 1000, 0, 1000));
  say("wrote %zu", write_all(s, 1000, 0, 1000));
  say("read %zu", read_all(c, 1000, 0, 1000));
  struct pollfd p = {.fd = c, .events = POLLIN};
  CALL(poll(&p, 1, 50));
}
