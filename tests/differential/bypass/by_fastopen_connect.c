/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <aio.h>
#include <sched.h>
#include <sys/syscall.h>

SCENARIO("Does TCP_FASTOPEN_CONNECT change nothing, and is the payload sealed?") {
  int l = listen_on(0, 8), c = client_socket(0), on = 1;
  setsockopt(c, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on);
  CALL(connect_to(c, port));
  say("wrote %zu", write_all(c, 100, 0, 100));
  int s = accept(l, NULL, NULL);
  say("read %zu", read_all(s, 100, 0, 100));
}
