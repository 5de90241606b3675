/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

/* HTTP servers switch it off to have an answer carry the acknowledgement; the kernel switches it back on by itself.
 */
SCENARIO("May TCP_QUICKACK be set at any moment of a connection, and does the stream not care?") {
  int l, s, c, on = 1, off = 0, v = -1;
  socklen_t len = sizeof v;
  pair_keep(&l, &s, &c);
  CALL(setsockopt(l, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off));
  CALL(setsockopt(s, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off));
  CALL(getsockopt(s, IPPROTO_TCP, TCP_QUICKACK, &v, &len));
  say("off %d", v);
  say("wrote %zu", write_all(c, 3000, 0, 100));
  say("read %zu", read_all(s, 3000, 0, 100));
  CALL(setsockopt(s, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on));
  CALL(getsockopt(s, IPPROTO_TCP, TCP_QUICKACK, &v, &len));
  say("on %d", v);
  say("wrote %zu", write_all(s, 3000, 0, 100));
  CALL(setsockopt(c, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off));
  say("read %zu", read_all(c, 3000, 0, 100));
  CALL(setsockopt(c, IPPROTO_TCP, TCP_QUICKACK, &off, 1));
}
