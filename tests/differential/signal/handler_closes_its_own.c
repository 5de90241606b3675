/* SPDX-License-Identifier: Apache-2.0 */
#include "signal.h"

/* A handler ends the very connection, or the listener, that the interrupted call works on. */
static int mine, way;

static void ends_it(int sig) {
  (void)sig;
  int keep = errno;
  char bye[3] = "bye";
  if (way == 0)
    close(mine);
  else if (way == 1)
    shutdown(mine, SHUT_RDWR);
  else
    dup2(other_fd, mine);
  if (way == 1)
    (void)!send(mine, bye, 3, MSG_NOSIGNAL);
  caught++;
  errno = keep;
}

static void round_of(const char *what, int flags, bool accepts) {
  int l, s, c, p[2];
  char b[16];
  say("-- %s", what);
  pair_keep(&l, &s, &c);
  if (pipe(p) != 0)
    give_up("pipe");
  other_fd = p[0];
  mine = accepts ? l : s;
  (void)!write(p[1], "pipe", 4);
  on(ends_it, flags);
  pid_t kid = signal_soon();
  if (accepts)
    CALL(accept(l, NULL, NULL));
  else
    CALL(read(s, b, sizeof b));
  reap(kid);
  say("signals %d", (int)caught);
  if (!accepts && way < 2)
    CALL(read(c, b, sizeof b));
  if (way == 2)
    CALL(read(mine, b, 4));
  close(l);
  close(s);
  close(c);
  close(p[0]);
  close(p[1]);
}

SCENARIO(
    "A handler closes, shuts down or replaces the descriptor that the interrupted call works on: what is said?") {
  for (way = 0; way < 3; way++) {
    static const char *const ways[] = {"close", "shutdown", "dup2"};
    char what[64];
    for (int i = 0; i < 4; i++) {
      snprintf(what, sizeof what, "%s, %s%s", ways[way], i & 1 ? "accept" : "read", i & 2 ? ", SA_RESTART" : "");
      if ((i & 2) && way == 2)
        continue; /* goes on with what is there now: the read takes from the pipe */
      round_of(what, i & 2 ? SA_RESTART : 0, i & 1);
    }
  }
}
