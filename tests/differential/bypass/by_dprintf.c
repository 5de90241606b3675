/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <aio.h>
#include <sched.h>
#include <sys/syscall.h>

SCENARIO("Does dprintf() work, sealed?") {
  int s, c;
  char b[101] = "";
  pair(&s, &c);
  fill(b, 100, 0);
  say("dprintf %d", dprintf(c, "%.56s", b));
  char got[56];
  CALL(recv(s, got, 56, MSG_WAITALL));
  say("same %d", same(got, 56, 0));
}
