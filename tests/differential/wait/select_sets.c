/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

static void say_set(const char *name, fd_set *set, const int *fds, size_t n) {
  char line[64] = "";
  for (size_t i = 0; i < n; i++)
    strcat(line, FD_ISSET(fds[i], set) ? "1" : "0");
  say("%s %s", name, line);
}

SCENARIO("Do select()'s sets and what is left of its time read as natively?") {
  int f[3]; /* listener, server, client */
  pair_keep(&f[0], &f[1], &f[2]);
  fd_set r, w, e;
  int top = 64;
  for (int round = 0; round < 3; round++) {
    FD_ZERO(&r);
    FD_ZERO(&w);
    FD_ZERO(&e);
    for (int i = 0; i < 3; i++) {
      FD_SET(f[i], &r);
      FD_SET(f[i], &w);
      FD_SET(f[i], &e);
    }
    struct timeval t = {0, 0};
    CALL(select(top, &r, &w, &e, &t));
    say_set("read", &r, f, 3);
    say_set("write", &w, f, 3);
    say_set("except", &e, f, 3);
    if (round == 0) {
      write_all(f[2], 10, 0, 10);
      wait_mask(f[1], POLLIN, POLLIN);
    } else {
      shutdown(f[1], SHUT_WR);
      wait_mask(f[2], POLLIN, POLLIN);
    }
  }
  FD_ZERO(&r);
  FD_SET(f[0], &r);
  struct timeval t = {0, 20000};
  CALL(select(top, &r, NULL, NULL, &t));
  say("left %ld.%06ld", (long)t.tv_sec, (long)t.tv_usec);
}
