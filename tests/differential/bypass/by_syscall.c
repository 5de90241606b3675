/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <aio.h>
#include <sched.h>
#include <sys/syscall.h>

SCENARIO("Do reads and writes by syscall() work, sealed?") {
  int s, c;
  char b[100];
  pair(&s, &c);
  fill(b, 100, 0);
  CALL(syscall(SYS_write, c, b, 100));
  say("read %zu", read_all(s, 100, 0, 100));
  write_all(s, 100, 0, 100);
  wait_mask(c, POLLIN, POLLIN);
  CALL(syscall(SYS_read, c, b, 100));
  CALL(syscall(SYS_sendto, c, b, 50, 0, NULL, 0));
  say("read %zu", read_all(s, 50, 0, 50));
  CALL(syscall(SYS_close, c));
  CALL(read(s, b, 1));
}
