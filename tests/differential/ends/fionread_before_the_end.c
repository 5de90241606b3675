/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("Does FIONREAD count what is there to read, and not the end behind it?") {
  for (int how = 0; how < 3; how++) {
    int s, c, n = -1;
    pair(&s, &c);
    say("wrote %zu", write_all(s, 1656, 0, 100));
    CALL(how == 0 ? shutdown(s, SHUT_WR) : how == 1 ? shutdown(s, SHUT_RDWR) : close(s));
    wait_mask(c, POLLRDHUP, POLLRDHUP);
    CALL(ioctl(c, FIONREAD, &n));
    say("%d bytes", n);
    say("read %zu", read_all(c, 1656, 0, 1656));
    CALL(ioctl(c, FIONREAD, &n));
    say("%d bytes", n);
    close(c);
    if (how < 2)
      close(s);
  }
}
