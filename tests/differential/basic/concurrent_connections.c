/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("Are forty connections that are open at once told apart?") {
  int l = listen_on(0, 64), c[40], s[40];
  size_t good = 0;
  for (unsigned i = 0; i < 40; i++) {
    c[i] = client_socket(0);
    if (connect_to(c[i], port) != 0)
      give_up("connect");
    write_all(c[i], 4, i * 64, 4);
    write_all(c[i], 100, i * 640, 100);
  }
  for (unsigned i = 0; i < 40; i++) {
    s[i] = accept(l, NULL, NULL);
    char first[4];
    struct sockaddr_in peer, own;
    socklen_t len = sizeof peer;
    getpeername(s[i], (struct sockaddr *)&peer, &len);
    for (unsigned k = 0; k < 40; k++) {
      len = sizeof own;
      getsockname(c[k], (struct sockaddr *)&own, &len);
      if (own.sin_port == peer.sin_port)
        good += recv(s[i], first, 4, MSG_WAITALL) == 4 && read_all(s[i], 100, k * 640, 1000) == 100;
    }
  }
  say("good: %zu", good);
}
