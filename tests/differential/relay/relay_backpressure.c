/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("Nobody reads a relayed connection for a while: does its peer have to wait, and is all there in the end?") {
  int s, c;
  static char block[65536];
  struct step full;
  size_t sent = 0, got = 0;
  ssize_t n;
  step_init(&full);
  pair(&s, &c);
  pid_t kid = fork();
  if (kid == 0) {
    role("reader");
    close(c);
    dup2(s, 0);
    close(s);
    step_wait(&full);
    while ((n = read(0, block, sizeof block)) > 0)
      got += (size_t)n;
    CALL(write(0, &got, sizeof got));
    _exit(0);
  }
  close(s);
  set_nonblock(c, true);
  for (int quiet = 0; quiet < 20 && sent < (256u << 20);) {
    n = write(c, block, sizeof block);
    quiet = n > 0 ? 0 : quiet + 1;
    sent += n > 0 ? (size_t)n : 0;
    if (n < 0)
      nap(20);
  }
  say("full %d", sent > 100000 && sent < (64u << 20));
  CALL(shutdown(c, SHUT_WR));
  set_nonblock(c, false);
  step_go(&full);
  CALL(recv(c, &got, sizeof got, MSG_WAITALL));
  say("all of it came %d", got == sent);
  child_status(kid);
}
