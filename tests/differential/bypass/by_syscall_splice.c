/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <aio.h>
#include <sched.h>
#include <sys/syscall.h>

SCENARIO("Does splice by syscall() work, sealed?") {
  int s, c, p[2];
  char b[100];
  pair(&s, &c);
  if (pipe(p) != 0)
    give_up("pipe");
  write_all(p[1], 100, 0, 100);
  CALL(syscall(SYS_splice, p[0], NULL, c, NULL, 100, 0));
  say("read %zu", read_all(s, 100, 0, 100));
  fill(b, 100, 0);
  struct iovec v = {b, 100};
  CALL(syscall(SYS_pwritev2, c, &v, 1, -1L, -1L, 0));
  say("read %zu", read_all(s, 100, 0, 100));
}
