/* SPDX-License-Identifier: Apache-2.0 */
#include "io.h"

SCENARIO("A program may write something else after EAGAIN: has nothing of what was refused gone out?") {
  int s, c;
  char buf[20000];
  pair(&s, &c);
  set_nonblock(c, true);
  size_t sent = fill_up(c, 0);
  memset(buf, 'Z', sizeof buf);
  CALL(write(c, buf, sizeof buf));
  size_t got = read_all(s, sent, 0, 65536);
  say("all there: %d", got == sent);
  say_wait("drained", c, POLLOUT);
  say("wrote %zu", write_all(c, 1000, sent, 1000));
  say("goes on at the right place: %zu", read_all(s, 1000, sent, 1000));
}
