/* SPDX-License-Identifier: Apache-2.0 */
#include "badinput.h"

SCENARIO("What do getsockopt() and setsockopt() say to bad pointers, lengths and names?") {
  int fds[3], n, errors[] = {SO_ERROR, SO_TYPE, SO_RCVTIMEO};
  socklen_t len;
  pair_keep(&fds[0], &fds[1], &fds[2]);
  for (int i = 0; i < 3; i++) {
    int fd = fds[i];
    say("-- %s", i == 0 ? "listener" : i == 1 ? "server" : "client");
    for (int k = 0; k < 3; k++) {
      for (int l = -1; l < 20; l += 3) {
        char b[32];
        memset(b, 'x', sizeof b);
        len = (socklen_t)l;
        CALL(getsockopt(fd, SOL_SOCKET, errors[k], b, &len));
        say("option %d, length %d now %d, byte behind it %d", errors[k], l, (int)len, len < 32 ? b[len] : 0);
      }
      len = sizeof n;
      CALL(getsockopt(fd, SOL_SOCKET, errors[k], nowhere(), &len));
      CALL(getsockopt(fd, SOL_SOCKET, errors[k], &n, nowhere()));
      CALL(getsockopt(fd, SOL_SOCKET, errors[k], NULL, NULL));
    }
    len = sizeof n;
    CALL(getsockopt(fd, SOL_SOCKET, 9999, &n, &len));
    CALL(getsockopt(fd, 9999, 1, &n, &len));
    CALL(getsockopt(fd, IPPROTO_TCP, 9999, &n, &len));
    CALL(setsockopt(fd, SOL_SOCKET, 9999, &n, sizeof n));
    CALL(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, nowhere(), sizeof n));
    CALL(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, NULL, sizeof n));
    CALL(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &n, 1));
    CALL(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &n, (socklen_t)-1));
    CALL(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &n, 0));
    CALL(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &n, 4));
    CALL(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){0, 2000000}, sizeof(struct timeval)));
    CALL(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){-1, 0}, sizeof(struct timeval)));
    CALL(setsockopt(fd, SOL_SOCKET, SO_LINGER, &n, 4));
    CALL(setsockopt(fd, SOL_SOCKET, SO_TYPE, &n, sizeof n));
    CALL(setsockopt(fd, SOL_SOCKET, SO_ERROR, &n, sizeof n));
    CALL(setsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &n, sizeof n));
    CALL(ioctl(fd, FIONREAD, nowhere()));
    CALL(ioctl(fd, FIONREAD, NULL));
    CALL(ioctl(fd, FIONBIO, nowhere()));
    CALL(ioctl(fd, TIOCOUTQ, nowhere()));
    CALL(getsockname(fd, nowhere(), &len));
    len = 16;
    CALL(getsockname(fd, nowhere(), &len));
    CALL(getsockname(fd, (struct sockaddr *)&n, nowhere()));
    CALL(getpeername(fd, nowhere(), &len));
    CALL(getpeername(fd, (struct sockaddr *)&n, nowhere()));
    CALL(getpeername(fd, NULL, NULL));
    len = (socklen_t)-1;
    CALL(getpeername(fd, (struct sockaddr *)&n, &len));
    len = 3;
    CALL(getpeername(fd, (struct sockaddr *)&n, &len));
    say("length %u", len);
    CALL(shutdown(fd, 3));
    CALL(shutdown(fd, -1));
  }
  CALL(accept(fds[0], nowhere(), NULL));
  say_alive(fds[1], fds[2]);
}
