/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <aio.h>
#include <sched.h>
#include <sys/syscall.h>

SCENARIO("Does a dup3() that fails leave the connection what it was?") {
  int s, c, d = dup(1);
  pair(&s, &c);
  CALL(dup3(d, c, O_NONBLOCK));
  CALL(dup2(999, c));
  say("wrote %zu", write_all(c, 100, 0, 100));
  say("read %zu", read_all(s, 100, 0, 100));
}
