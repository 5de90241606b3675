/* SPDX-License-Identifier: Apache-2.0 */
#include "readable_and_nothing_there.h"

static bool by_poll(int fd) {
  struct pollfd p = {.fd = fd, .events = POLLIN | POLLPRI | POLLERR | POLLHUP};
  return poll(&p, 1, 10000) == 1;
}

SCENARIO("When poll() says that a blocking descriptor is readable, does recv(MSG_DONTWAIT) ever find nothing?") {
  readable_run(by_poll, 8192);
  readable_run(by_poll, 65536);
}
