/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"

SCENARIO("The same by posix_spawn() with an empty environment") {
  char p[8];
  snprintf(p, sizeof p, "%u", port);
  int l = listen_on(SOCK_CLOEXEC, 8);
  char marker[128];
  snprintf(marker, sizeof marker, "SCENARIO_MARKER=%s", getenv("SCENARIO_MARKER") ? getenv("SCENARIO_MARKER") : "");
  char *argv[] = {(char *)(uintptr_t) "scenario", (char *)(uintptr_t) "image_connect", p, NULL},
       *empty[] = {marker, NULL};
  pid_t kid;
  CALL(posix_spawn(&kid, self, NULL, NULL, argv, empty));
  int s = accept(l, NULL, NULL);
  say("read %zu", read_all(s, 1000, 0, 1000));
  say("wrote %zu", write_all(s, 1000, 0, 1000));
  child_status(kid);
}
