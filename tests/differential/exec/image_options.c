/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"

#include <netinet/tcp.h>

/* The new image: the first that it does with the listener on descriptor 3 is to ask for and set options of TCP. */
IMAGE {
  role("image");
  int on = 1;
  socklen_t len = sizeof on;
  CALL(setsockopt(3, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
  on = 0;
  CALL(getsockopt(3, IPPROTO_TCP, TCP_NODELAY, &on, &len));
  say("TCP_NODELAY: %d", on);
  int s = accept(3, NULL, NULL);
  say("read %zu", read_all(s, 1000, 0, 1000));
}
