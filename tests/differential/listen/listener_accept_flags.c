/* SPDX-License-Identifier: Apache-2.0 */
#include "listen.h"

SCENARIO("Do accept4()'s flags reach the accepted socket?") {
  int l = listen_on(0, 8), c[4];
  for (int i = 0; i < 4; i++) {
    c[i] = client_socket(0);
    connect_to(c[i], port);
  }
  int s = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  CALL(fcntl(s, F_GETFL) & O_NONBLOCK);
  CALL(fcntl(s, F_GETFD));
  set_nonblock(l, true);
  wait_mask(l, POLLIN, POLLIN);
  s = accept(l, NULL, NULL);
  CALL(fcntl(s, F_GETFL) & O_NONBLOCK);
  CALL(fcntl(s, F_GETFD));
  CALL(accept4(l, NULL, NULL, 1));
  struct sockaddr_in a;
  socklen_t len = 4;
  memset(&a, 0x55, sizeof a);
  wait_mask(l, POLLIN, POLLIN);
  say("accepted: %d", accept(l, (struct sockaddr *)&a, &len) >= 0);
  say("length %u, untouched behind: %d", len, a.sin_addr.s_addr == 0x55555555u);
  CALL(accept(-1, NULL, NULL));
  CALL(accept(0, NULL, NULL));
  int u = socket(AF_INET, SOCK_STREAM, 0);
  CALL(accept(u, NULL, NULL));
}
