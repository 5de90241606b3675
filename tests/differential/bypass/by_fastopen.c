/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <aio.h>
#include <sched.h>
#include <sys/syscall.h>

SCENARIO("Does sendto() with MSG_FASTOPEN connect, and is its payload sealed?") {
  int l = listen_on(0, 8), c = client_socket(0);
  char b[100];
  fill(b, 100, 0);
  struct sockaddr_in a = at_port(port);
  CALL(sendto(c, b, 100, MSG_FASTOPEN, (struct sockaddr *)&a, sizeof a));
  int s = accept(l, NULL, NULL);
  say("read %zu", read_all(s, 100, 0, 100));
}
