/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"

/* CGI and inetd start what is there: the loader preloads nothing into a program that is linked statically. */
SCENARIO(
    "A program without a loader gets the connection as its standard streams: is what it prints sealed and whole?") {
  char line[400] = "", b;
  int s, c;
  pair(&s, &c);
  pid_t kid = fork();
  if (kid == 0) {
    dup2(s, 0);
    dup2(s, 1);
    for (int n = 3; n < 40; n++)
      close(n);
    execl(beside("copier"), "copier", (char *)NULL);
    _exit(127);
  }
  close(s);
  const char *marker = getenv("SCENARIO_MARKER");
  dprintf(c, "%s\n", marker);
  shutdown(c, SHUT_WR);
  size_t got = 0;
  for (ssize_t n; got < sizeof line && (n = read(c, line + got, sizeof line - got)) > 0;)
    got += (size_t)n;
  say("got %zu, the marker in it %d", got, memmem(line, got, marker, strlen(marker)) != NULL);
  CALL(read(c, &b, 1));
  child_status(kid);
}
