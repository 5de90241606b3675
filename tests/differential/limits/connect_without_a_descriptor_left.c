/* SPDX-License-Identifier: Apache-2.0 */
#include "limits.h"

SCENARIO("connect() needs no descriptor of its own: does it work when every other number is taken?") {
  struct held held;
  pid_t kid = echo_server(4);
  int c[4];
  for (int i = 0; i < 4; i++)
    c[i] = client_socket(0);
  CALL(connect_to(c[0], port));
  exchange(c[0]);
  limit_descriptors(64, false);
  hold_all(&held);
  CALL(connect_to(c[1], port));
  exchange(c[1]);
  set_nonblock(c[2], true);
  CALL(connect_to(c[2], port));
  say_wait("connecting", c[2], POLLOUT);
  set_nonblock(c[2], false);
  exchange(c[2]);
  let_go(&held, 8);
  CALL(connect_to(c[3], port));
  exchange(c[3]);
  child_status(kid);
}
