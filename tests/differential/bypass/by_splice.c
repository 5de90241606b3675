/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <aio.h>
#include <sched.h>
#include <sys/syscall.h>

SCENARIO("Does splice() work, sealed?") {
  int s, c, p[2];
  char b[100];
  pair(&s, &c);
  if (pipe(p) != 0)
    give_up("pipe");
  write_all(p[1], 100, 0, 100);
  CALL(splice(p[0], NULL, c, NULL, 100, 0));
  say("read %zu", read_all(s, 100, 0, 100));
  write_all(s, 100, 0, 100);
  wait_mask(c, POLLIN, POLLIN);
  CALL(splice(c, NULL, p[1], NULL, 100, 0));
  CALL(read(p[0], b, 100));
  say("same %d", same(b, 100, 0));
}
