/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

SCENARIO("Who is at the other end, in this image and in the next?") {
  int s, c;
  char arg[3][32];
  struct sockaddr_in client;
  socklen_t len = sizeof client;
  pair(&s, &c);
  getsockname(c, (struct sockaddr *)&client, &len);
  pid_t kid = fork();
  if (kid == 0) {
    role("same image");
    dup2(s, 0);
    close(s);
    say_names(0, &client);
    snprintf(arg[0], sizeof arg[0], "%u", port);
    snprintf(arg[1], sizeof arg[1], "%u", dead_port);
    snprintf(arg[2], sizeof arg[2], "%u", client.sin_port);
    setenv("RELAY_CLIENT", arg[2], 1);
    execl(self, self, "image_relay_names", arg[0], arg[1], (char *)NULL);
    _exit(127);
  }
  close(s);
  child_status(kid);
  char b;
  CALL(read(c, &b, 1));
}
