/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

/* A child ends with bytes unread on its standard input, which is the connection: over TCP that is a reset. Its peer
 * may be relayed itself, for dprintf(). */
SCENARIO("A child leaves bytes of a relayed connection unread: does its peer hear of the end, relayed or not?") {
  for (int relayed = 0; relayed < 2; relayed++) {
    int s, c;
    char b[100];
    say("-- %s", relayed ? "relayed at both ends" : "relayed at one end");
    pair(&s, &c);
    pid_t kid = fork();
    if (kid == 0) {
      dup2(s, 0);
      dup2(s, 1);
      for (int n = 3; n < 40; n++)
        close(n);
      wait_mask(0, POLLIN, POLLIN);
      _exit(5);
    }
    close(s);
    if (relayed)
      say("printed %d", dprintf(c, "%s", "hello, hello"));
    else
      say("wrote %zu", write_all(c, 12, 0, 12));
    if (relayed)
      shutdown(c, SHUT_WR);
    child_status(kid);
    wait_mask(c, POLLIN | POLLRDHUP, POLLRDHUP);
    CALL(read(c, b, sizeof b));
    CALL(read(c, b, sizeof b));
    close(c);
  }
}
