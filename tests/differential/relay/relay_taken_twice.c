/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#include "../bypass/bypass.h"

enum { AS_STDIN, PASSED, PASSED_DUP, AS_STREAM, WAYS };

/* A shell's redirections, a server that starts a CGI program twice. */
SCENARIO(
    "A child had the connection on its standard streams: can its parent move it, too, without a call in between?") {
  for (int way = 0; way < WAYS; way++) {
    int s, c, d = -1;
    pair(&s, &c);
    pid_t kid = fork();
    if (kid == 0) {
      role("child");
      CALL(dup2(c, STDIN_FILENO));
      say("wrote %zu", write_all(STDIN_FILENO, 500, 0, 500));
      _exit(0);
    }
    child_status(kid);
    if (way == AS_STDIN)
      CALL(d = dup2(c, STDIN_FILENO));
    else if (way == PASSED)
      d = passed(c);
    else if (way == PASSED_DUP)
      d = passed(dup(c));
    else
      d = fileno(fdopen(c, "r+"));
    say("wrote %zu", write_all(d, 500, 500, 500));
    say("there %zu", read_all(s, 1000, 0, 100));
    say("answered %zu", write_all(s, 700, 0, 700));
    say("back %zu", read_all(d, 400, 0, 400));
    say("the rest %zu", read_all(c, 300, 400, 300));
    for (int fd = 3; fd < 40; fd++)
      close(fd);
    close(STDIN_FILENO);
    open("/dev/null", O_RDWR);
  }
}
