/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <aio.h>
#include <sched.h>
#include <sys/syscall.h>

SCENARIO("Does sendmmsg() work, sealed?") {
  int s, c;
  static char b[2][100];
  pair(&s, &c);
  fill(b, 200, 0);
  struct iovec v[2] = {{b[0], 100}, {b[1], 100}};
  struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = &v[0], .msg_iovlen = 1}},
                         {.msg_hdr = {.msg_iov = &v[1], .msg_iovlen = 1}}};
  CALL(sendmmsg(c, m, 2, 0));
  say("read %zu", read_all(s, 200, 0, 200));
  write_all(s, 100, 0, 100);
  wait_mask(c, POLLIN, POLLIN);
  CALL(recvmmsg(c, m, 1, 0, NULL));
  say("same %d", same(b[0], 100, 0));
}
