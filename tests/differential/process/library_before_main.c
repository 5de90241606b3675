/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

/* Constructors of the libraries that a program is linked with run before those of what is preloaded: what they
 * connect has to be protected all the same. */
SCENARIO(
    "A library of the program connects and writes in its constructor, before any preloaded one's: does it work?") {
  const char *marker = getenv("SCENARIO_MARKER");
  size_t n = marker ? strlen(marker) : 0;
  char text[8], b[200];
  snprintf(text, sizeof text, "%u", port);
  setenv("VISITOR_PORT", text, 1);
  int l = listen_on(SOCK_CLOEXEC, 8);
  pid_t kid = fork();
  if (kid == 0) {
    execl(beside("visited"), "visited", (char *)NULL);
    _exit(127);
  }
  int s = accept(l, NULL, NULL), kept = accept(l, NULL, NULL);
  say("heard %d", n < sizeof b && recv(kept, b, n, MSG_WAITALL) == (ssize_t)n && memcmp(b, marker, n) == 0);
  say("wrote %zu", write_all(s, 16, 0, 16));
  say("read %zu", read_all(s, 16, 0, 16));
  say("at its end %d", recv(s, b, n, MSG_WAITALL) == (ssize_t)n && memcmp(b, marker, n) == 0);
  CALL(read(s, b, 1));
  say("and %d", recv(kept, b, n, MSG_WAITALL) == (ssize_t)n && memcmp(b, marker, n) == 0);
  CALL(read(kept, b, 1));
  child_status(kid);
}
