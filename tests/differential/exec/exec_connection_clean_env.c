/* SPDX-License-Identifier: Apache-2.0 */
#include "connection.h"

SCENARIO("The client's end goes through exec with an empty environment, after a vfork(): does it go on there?") {
  int l = listen_on(0, 8), c = client_socket(0);
  CALL(connect_to(c, port));
  int s = accept(l, NULL, NULL);
  write_all(s, 5000, 0, 5000);
  pid_t kid = vfork();
  if (kid == 0) {
    ready_for_image(c, false);
    char p[8], marker[128];
    snprintf(p, sizeof p, "%u", port);
    snprintf(marker, sizeof marker, "SCENARIO_MARKER=%s", getenv("SCENARIO_MARKER"));
    char *argv[] = {(char *)(uintptr_t) "scenario", (char *)(uintptr_t) "image_talks", p, NULL};
    char *envp[] = {marker, (char *)(uintptr_t) "SCENARIO_CLIENT=1", NULL};
    execve(self, argv, envp);
    _exit(127);
  }
  close(c);
  talk_to_image(s, false, kid);
}
