/* SPDX-License-Identifier: Apache-2.0 */
#include "limits.h"

SCENARIO("listen() needs no descriptor of its own: does it work when every other number is taken?") {
  struct held held;
  struct sockaddr_in a = at_port(port);
  int l = client_socket(0), c = client_socket(0), one = 1;
  CALL(setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
  CALL(bind(l, (struct sockaddr *)&a, sizeof a));
  limit_descriptors(64, false);
  hold_all(&held);
  CALL(listen(l, 8));
  CALL(connect_to(c, port));
  CALL(accept(l, NULL, NULL));
  let_go(&held, 1);
  int s = accept(l, NULL, NULL);
  say("wrote %zu", write_all(c, 1000, 0, 1000));
  say("read %zu", read_all(s, 1000, 0, 1000));
}
