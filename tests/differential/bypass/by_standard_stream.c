/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <aio.h>
#include <sched.h>
#include <sys/syscall.h>

/* A standard stream is on descriptor 1 already when the connection comes there (bash does this). */
SCENARIO("A connection comes to descriptor 1 while stdout is on it already (bash does this): is all of it sealed?") {
  int s, c, keep = dup(1);
  char b[101] = "";
  pair(&s, &c);
  fill(b, 100, 0);
  fflush(stdout);
  bool there = dup2(c, 1) == 1;
  if (there) {
    fwrite(b, 1, 100, stdout);
    fflush(stdout);
  }
  dup2(keep, 1);
  say("there %d", there);
  say("read %zu", there ? read_all(s, 100, 0, 100) : 0);
}
