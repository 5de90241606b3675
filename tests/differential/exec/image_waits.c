/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"

/* The new image: has a connection on 5, says on 51 that it runs, and does not touch the connection before a byte
 * comes on 50. */
IMAGE {
  role("image");
  char b = 'x';
  CALL(write(51, &b, 1));
  CALL(read(50, &b, 1));
  say_wait("the rest", 5, POLLIN);
  say("rest %zu", read_all(5, 4990, 10, 1000));
  say("wrote %zu", write_all(5, 20000, 0, 700));
  CALL(shutdown(5, SHUT_WR));
  CALL(read(5, &b, 1));
}
