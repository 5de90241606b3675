/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

#include <linux/sockios.h>

SCENARIO("Do SIOCOUTQ, SIOCINQ and their kin tell what is on its way, and zero when all has arrived?") {
  int s, c, n = -1, m = -1;
  static char b[100000];
  pair(&s, &c);
  CALL(ioctl(c, SIOCOUTQ, &n));
  say("at first %d", n);
  CALL(ioctl(s, SIOCINQ, &n));
  say("to read %d", n);
  set_nonblock(c, true);
  size_t sent = 0, got = 0;
  for (ssize_t w; (w = write(c, b, sizeof b)) > 0;)
    sent += (size_t)w;
  CALL(ioctl(c, SIOCOUTQ, &n));
  CALL(ioctl(c, SIOCOUTQNSD, &m));
  say("waits %d, unsent %d of it", n > 0, m > 0 && m <= n);
  CALL(ioctl(s, SIOCINQ, &m));
  say("to read %d", m > 0);
  while (got < sent) {
    ssize_t r = read(s, b, sizeof b);
    if (r <= 0)
      give_up("read");
    got += (size_t)r;
  }
  for (int i = 0; i < 500 && n != 0; i++) {
    nap(10);
    ioctl(c, SIOCOUTQ, &n);
  }
  ioctl(c, SIOCOUTQNSD, &m);
  say("in the end %d %d", n, m);
  CALL(ioctl(c, SIOCOUTQ, NULL));
  CALL(ioctl(s, SIOCINQ, NULL));
  CALL(shutdown(c, SHUT_WR));
  wait_mask(s, POLLIN | POLLRDHUP, POLLRDHUP);
  CALL(ioctl(s, SIOCINQ, &m));
  say("to read %d", m);
}
