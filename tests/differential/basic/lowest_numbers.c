/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("Are descriptor numbers given out lowest first, as programs rely on?") {
  int l = (int)CALL(listen_on(0, 8));
  int c = client_socket(0);
  say("client %d", c);
  CALL(connect_to(c, port));
  int x = (int)CALL(accept(l, NULL, NULL));
  CALL(dup(x));
  CALL(close(c));
  CALL(open("/dev/null", O_RDONLY));
  CALL(socket(AF_INET, SOCK_STREAM, 0));
}
