/* SPDX-License-Identifier: Apache-2.0 */
#include "connect.h"

SCENARIO("May the same socket try again after a refusal?") {
  int c = client_socket(0);
  CALL(connect_to(c, port));
  int l = listen_on(0, 8);
  CALL(connect_to(c, port));
  int s = accept(l, NULL, NULL);
  say("wrote %zu", write_all(c, 100, 0, 100));
  say("read %zu", read_all(s, 100, 0, 100));
}
