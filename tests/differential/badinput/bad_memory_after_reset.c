/* SPDX-License-Identifier: Apache-2.0 */
#include "badinput.h"

static void after(bool by_write) {
  int s, c;
  struct linger none = {.l_onoff = 1};
  char *bad = nowhere();
  pair(&s, &c);
  say(by_write ? "the other side had written more" : "the other side resets");
  if (by_write) {
    write_all(c, 100, 0, 100);
    wait_mask(s, POLLIN, POLLIN);
  } else {
    setsockopt(s, SOL_SOCKET, SO_LINGER, &none, sizeof none);
  }
  close(s);
  wait_mask(c, POLLIN, POLLHUP);
  CALL(send(c, bad, 10, MSG_NOSIGNAL));
  CALL(send(c, bad, 10, MSG_NOSIGNAL));
  CALL(shutdown(c, SHUT_RDWR));
  close(c);
}

SCENARIO("Bad memory on a connection that was reset: does a write answer the reset, not EFAULT?") {
  after(false);
  after(true);
}
