/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include "../passing.h"

#include <aio.h>
#include <sched.h>
#include <sys/syscall.h>

SCENARIO("Can the connection be passed to another process, and stays it sealed?") {
  int s, c, u[2];
  char b[100];
  pair(&s, &c);
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, u) != 0)
    give_up("socketpair");
  if (CALL(send_fd(u[0], c)) < 0)
    return;
  int d;
  CALL(receive_fd(u[1], &d, 0));
  close(c);
  fill(b, 100, 0);
  CALL(write(d, b, 100));
  say("read %zu", read_all(s, 100, 0, 100));
}
