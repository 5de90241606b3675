/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

SCENARIO("Does SO_SNDTIMEO end a write?") {
  int s, c;
  static char b[200000];
  struct timeval t = {0, 100000};
  pair(&s, &c);
  CALL(setsockopt(c, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t));
  size_t sent = 0;
  for (;;) {
    fill(b, sizeof b, sent);
    ssize_t n = write(c, b, sizeof b);
    if (n < 0)
      break;
    sent += (size_t)n;
  }
  say("in the end: %s", errno_name(errno));
  say("all there: %d", read_all(s, sent, 0, 65536) == sent);
  say("wrote %zu", write_all(c, 1000, sent, 1000));
  say("read %zu", read_all(s, 1000, sent, 1000));
}
