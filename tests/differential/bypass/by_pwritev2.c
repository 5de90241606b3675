/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <aio.h>
#include <sched.h>
#include <sys/syscall.h>

SCENARIO("Does pwritev2() work, sealed?") {
  int s, c;
  char b[100];
  struct iovec v = {b, 100};
  pair(&s, &c);
  fill(b, 100, 0);
  CALL(pwritev2(c, &v, 1, -1, 0));
  say("read %zu", read_all(s, 100, 0, 100));
  write_all(s, 100, 0, 100);
  memset(b, 0, sizeof b);
  wait_mask(c, POLLIN, POLLIN);
  CALL(preadv2(c, &v, 1, -1, 0));
  say("same %d", same(b, 100, 0));
}
