/* SPDX-License-Identifier: Apache-2.0 */
#include "bypass.h"

#include <sys/pidfd.h>
#include <sys/syscall.h>

SCENARIO(
    "pidfd_getfd() on the own process makes a second number of a connection: does a write there cross in clear?") {
  int s, c;
  char b[100];
  pair(&s, &c);
  int p = (int)syscall(SYS_pidfd_open, getpid(), 0), d = pidfd_getfd(p, c, 0);
  fill(b, 100, 0);
  CALL(send(d, b, 100, MSG_NOSIGNAL));
  close(d);
  d = (int)syscall(SYS_pidfd_getfd, p, c, 0);
  CALL(send(d, b, 100, MSG_NOSIGNAL));
  say("wrote %zu", write_all(c, 100, 0, 100));
  say("read %zu", read_all(s, 100, 0, 100));
}
