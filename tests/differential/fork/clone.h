/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clone.h - a server whose children are not made by fork().
 */
#ifndef DIFFERENTIAL_CLONE_H
#define DIFFERENTIAL_CLONE_H

#include "scenario.h"

#include <sched.h>
#include <sys/syscall.h>

/* What the child has: its parent has closed the connection by the time it is used. */
struct served {
  int s;
  struct step closed;
};

static inline int serve_one(void *arg) {
  struct served *v = arg;
  step_wait(&v->closed);
  size_t n = read_all(v->s, 40000, 0, 999);
  write_all(v->s, n, 0, 5000);
  return 7;
}

/* make: gives life to a child that runs serve_one(v) and ends with its result. */
static inline void children_by(pid_t (*make)(struct served *v)) {
  int l, c;
  for (int i = 0; i < 3; i++) {
    struct served v;
    char end;
    step_init(&v.closed);
    pair_keep(&l, &v.s, &c);
    pid_t kid = make(&v);
    close(v.s);
    close(l);
    step_go(&v.closed);
    write_all(c, 40000, 0, 40000);
    shutdown(c, SHUT_WR);
    say("back %zu", read_all(c, 40000, 0, 40000));
    CALL(read(c, &end, 1));
    close(c);
    child_status(kid);
  }
}

#endif
