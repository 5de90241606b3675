/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("What does shutdown() answer where the peer has closed already, and what is seen after it?") {
  for (int how = SHUT_RD; how <= SHUT_RDWR; how++) {
    int s, c, error = -1;
    char b;
    socklen_t len = sizeof error;
    pair(&s, &c);
    close(s);
    wait_mask(c, POLLRDHUP, POLLRDHUP);
    CALL(shutdown(c, how));
    say_poll("client", c, POLLIN | POLLOUT | POLLRDHUP, 0);
    CALL(getsockopt(c, SOL_SOCKET, SO_ERROR, &error, &len));
    say("SO_ERROR %s", error ? errno_name(error) : "0");
    CALL(read(c, &b, 1));
    CALL(shutdown(c, how));
    close(c);
  }
}
