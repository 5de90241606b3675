/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

/* A set that is larger than fd_set, as programs with many descriptors make them by hand. */
#define HIGH 1500

SCENARIO("Does select() work on numbers above FD_SETSIZE, with a set that has room for them?") {
  struct rlimit lim;
  int s, c;
  unsigned long set[2048 / 64] = {0};
  getrlimit(RLIMIT_NOFILE, &lim);
  lim.rlim_cur = 2048;
  CALL(setrlimit(RLIMIT_NOFILE, &lim));
  pair(&s, &c);
  CALL(dup2(s, HIGH));
  close(s);
  struct timeval none = {0, 0};
  set[HIGH / 64] = 1ul << (HIGH % 64);
  CALL(select(HIGH + 1, (fd_set *)(void *)set, NULL, NULL, &none));
  write_all(c, 10, 0, 10);
  wait_mask(HIGH, POLLIN, POLLIN);
  set[HIGH / 64] = 1ul << (HIGH % 64);
  CALL(select(HIGH + 1, (fd_set *)(void *)set, NULL, NULL, NULL));
  say("set %d", set[HIGH / 64] == 1ul << (HIGH % 64));
  say("read %zu", read_all(HIGH, 10, 0, 10));
  int pending = client_socket(SOCK_NONBLOCK);
  connect_to(pending, dead_port);
  write_all(c, 10, 0, 10);
  wait_mask(HIGH, POLLIN, POLLIN);
  set[HIGH / 64] = 1ul << (HIGH % 64);
  set[pending / 64] |= 1ul << (pending % 64);
  CALL(select(HIGH + 1, (fd_set *)(void *)set, NULL, NULL, NULL));
  close(pending);
}
