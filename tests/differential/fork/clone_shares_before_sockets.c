/* SPDX-License-Identifier: Apache-2.0 */
#include "clone.h"

static char stack[256 << 10] __attribute__((aligned(16)));

static int ends(void *arg) {
  (void)arg;
  return 3;
}

SCENARIO("A child has its parent's descriptors in common with it (CLONE_FILES) before there is any socket: does one "
         "get protected?") {
  child_status(clone(ends, stack + sizeof stack, CLONE_FILES | SIGCHLD, NULL));
  int l = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in a = at_port(port);
  bind(l, (struct sockaddr *)&a, sizeof a);
  CALL(listen(l, 5));
  close(l);
}
