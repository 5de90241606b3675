/* SPDX-License-Identifier: Apache-2.0 */
#include "clone.h"

static char stack[256 << 10] __attribute__((aligned(16)));

/* Has a table of descriptors of its own, and stays. */
static int stays(void *arg) {
  char c;
  return read(*(int *)arg, &c, 1) == 1 ? 3 : 4;
}

SCENARIO("A child on its parent's memory (CLONE_VM) is made before there is any socket: does one get protected?") {
  int p[2], s, c;
  if (pipe(p) != 0)
    give_up("pipe");
  pid_t kid = clone(stays, stack + sizeof stack, CLONE_VM | SIGCHLD, p);
  int l = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in a = at_port(port);
  bind(l, (struct sockaddr *)&a, sizeof a);
  CALL(listen(l, 5));
  close(l);
  CALL(write(p[1], "x", 1));
  child_status(kid);
  pair(&s, &c);
  say("wrote %zu", write_all(s, 1000, 0, 1000));
  say("there %zu", read_all(c, 1000, 0, 1000));
  close(s);
  close(c);
}
