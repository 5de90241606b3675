/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <aio.h>
#include <sched.h>
#include <sys/syscall.h>

SCENARIO("A dup() before listen() leaves an alias of the TCP socket: does it behave?") {
  int one = 1, l = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in a = at_port(port);
  setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  int d = dup(l);
  CALL(bind(l, (struct sockaddr *)&a, sizeof a));
  CALL(listen(l, 8));
  int c = client_socket(0);
  CALL(connect_to(c, port));
  int s = accept(d, NULL, NULL);
  say("accepted %d", s >= 0);
  if (s < 0)
    return;
  say("wrote %zu", write_all(s, 100, 0, 100));
  say("read %zu", read_all(c, 100, 0, 100));
}
