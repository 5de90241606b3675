/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

SCENARIO("Do options that are set read back as natively?") {
  int s, c, l, on = 1, size = 70000;
  pair_keep(&l, &s, &c);
  int fd[] = {l, s, c};
  for (int i = 0; i < 3; i++) {
    CALL(setsockopt(fd[i], SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on));
    ask("SO_KEEPALIVE", fd[i], SOL_SOCKET, SO_KEEPALIVE);
    CALL(setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
    ask("TCP_NODELAY", fd[i], IPPROTO_TCP, TCP_NODELAY);
    CALL(setsockopt(fd[i], SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
    ask("SO_RCVBUF", fd[i], SOL_SOCKET, SO_RCVBUF);
    CALL(setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
    ask("SO_SNDBUF", fd[i], SOL_SOCKET, SO_SNDBUF);
    CALL(setsockopt(fd[i], SOL_SOCKET, 9999, &on, sizeof on));
    CALL(setsockopt(fd[i], SOL_SOCKET, SO_KEEPALIVE, &on, 1));
    int v = 0;
    socklen_t len = 2;
    CALL(getsockopt(fd[i], SOL_SOCKET, SO_KEEPALIVE, &v, &len));
    say("short: %u", len);
    CALL(getsockopt(fd[i], SOL_SOCKET, SO_KEEPALIVE, &v, NULL));
  }
}
