/* SPDX-License-Identifier: Apache-2.0 */
#include "connect.h"

SCENARIO("What does connect() answer on a connected socket?") {
  int s, c, l;
  pair_keep(&l, &s, &c);
  CALL(connect_to(c, port));
  CALL(connect_to(s, port));
  CALL(listen(c, 5));
  CALL(accept(c, NULL, NULL));
  CALL(connect_to(l, port));
  CALL(write(c, "x", 1));
}
