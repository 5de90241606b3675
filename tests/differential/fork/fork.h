/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork.h - what several scenarios of this family need.
 */
#ifndef DIFFERENTIAL_FORK_H
#define DIFFERENTIAL_FORK_H

#include "scenario.h"

static inline void end_by(int how) {
  int s, c;
  pair(&s, &c);
  pid_t kid = fork();
  if (kid == 0) {
    close(c);
    write_all(s, 100, 0, 100);
    if (how == 0)
      exit(0);
    if (how == 1)
      _exit(0);
    if (how == 2)
      _Exit(0);
    quick_exit(0);
  }
  close(s);
  char b;
  say("read %zu", read_all(c, 100, 0, 100));
  CALL(read(c, &b, 1));
  child_status(kid);
}

#endif
