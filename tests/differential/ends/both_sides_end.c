/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("Does a side that has shut down both ways see an error when the other one ends?") {
  for (int way = 0; way < 4; way++) {
    int s, c, error = -1;
    char b[10];
    socklen_t len = sizeof error;
    pair(&s, &c);
    if (way & 1)
      CALL(write(c, "data", 4)); /* nobody reads it: the other side's end is behind it */
    CALL(shutdown(c, SHUT_RDWR));
    wait_mask(s, POLLRDHUP, POLLRDHUP);
    CALL(way & 2 ? close(s) : shutdown(s, SHUT_RDWR));
    wait_mask(c, POLLHUP, POLLHUP);
    say_poll("client", c, POLLIN | POLLOUT | POLLRDHUP, 0);
    CALL(getsockopt(c, SOL_SOCKET, SO_ERROR, &error, &len));
    say("SO_ERROR %s", error ? errno_name(error) : "0");
    CALL(read(c, b, 10));
    CALL(send(c, b, 1, MSG_NOSIGNAL));
    close(c);
    close(s);
  }
}
