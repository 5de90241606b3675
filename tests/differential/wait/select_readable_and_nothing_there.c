/* SPDX-License-Identifier: Apache-2.0 */
#include "readable_and_nothing_there.h"

static bool by_select(int fd) {
  fd_set r;
  struct timeval t = {.tv_sec = 10};
  FD_ZERO(&r);
  FD_SET(fd, &r);
  return select(fd + 1, &r, NULL, NULL, &t) == 1 && FD_ISSET(fd, &r);
}

SCENARIO("When select() says that a descriptor is readable, does a recv() that may not block ever find nothing?") {
  readable_run(by_select, 8192, false);
  readable_run(by_select, 65536, false);
  readable_run(by_select, 8192, true);
  readable_run(by_select, 65536, true);
}
