/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

SCENARIO("Does O_NONBLOCK hold for a relayed connection?") {
  int s, c, keep = dup(0);
  char b[10];
  pair(&s, &c);
  set_nonblock(s, true);
  CALL(dup2(s, 0));
  say("non-blocking %d", (fcntl(0, F_GETFL) & O_NONBLOCK) != 0);
  CALL(read(0, b, 1));
  size_t sent = 0;
  static char block[65536];
  ssize_t n;
  do { /* until nothing is on its way any more */
    while (sent < (64u << 20) && (n = write(0, block, sizeof block)) > 0)
      sent += (size_t)n;
  } while (sent < (64u << 20) && poll_for(0, POLLOUT, 500));
  say("full %d", sent > 100000 && sent < (64u << 20));
  CALL(poll(&(struct pollfd){.fd = 0, .events = POLLOUT}, 1, 0));
  size_t got = 0;
  while (got < sent && (n = read(c, block, sizeof block)) > 0)
    got += (size_t)n;
  say("all of it came %d", got == sent);
  wait_mask(0, POLLOUT, POLLOUT);
  dup2(keep, 0);
  close(s);
  CALL(read(c, b, 1));
}
