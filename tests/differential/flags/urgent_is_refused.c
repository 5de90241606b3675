/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

/* Urgent data has no place in a record. */
SCENARIO("What does sending urgent data answer, and does the stream go on?") {
  int s, c;
  pair(&s, &c);
  CALL(send(c, "!", 1, MSG_OOB | MSG_NOSIGNAL));
  write_all(c, 10, 0, 10);
  close(c);
  wait_mask(s, POLLIN | POLLRDHUP, POLLRDHUP);
  say("there %zu", read_all(s, 10, 0, 10));
}
