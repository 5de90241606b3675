/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <aio.h>
#include <sched.h>
#include <sys/syscall.h>

SCENARIO("A dup() before connect() leaves a second number: does it behave, sealed?") {
  int l = listen_on(0, 8), c = client_socket(0), d = dup(c);
  CALL(connect_to(c, port));
  int s = accept(l, NULL, NULL);
  say("wrote %zu", write_all(d, 100, 0, 100));
  say("read %zu", read_all(s, 100, 0, 100));
}
