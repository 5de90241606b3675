/* SPDX-License-Identifier: Apache-2.0 */
#include "readable_and_nothing_there.h"

static bool by_poll(int fd) {
  struct pollfd p = {.fd = fd, .events = POLLIN | POLLPRI | POLLERR | POLLHUP};
  return poll(&p, 1, 10000) == 1;
}

SCENARIO("When poll() says that a descriptor is readable, does a recv() that may not block ever find nothing?") {
  readable_run(by_poll, 8192, false);
  readable_run(by_poll, 65536, false);
  readable_run(by_poll, 8192, true);
  readable_run(by_poll, 65536, true);
}
