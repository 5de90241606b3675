/* SPDX-License-Identifier: Apache-2.0 */
#include "../scenario.h"

/* uWSGI after a reload: which of the numbers are listeners that the image before left? */
SCENARIO("Does a program that tries every number find sockets that it did not make?") {
  struct sockaddr_storage sa;
  int names = 0, peers = 0, types = 0, set = 0, flags = 0, waiting = 0, shut = 0, s, c, l;
  pair_keep(&l, &s, &c);
  for (int fd = 3; fd < 20000; fd++) {
    socklen_t len = sizeof sa, size = sizeof(int);
    int value = 1;
    names += getsockname(fd, (struct sockaddr *)&sa, &len) == 0;
    len = sizeof sa;
    peers += getpeername(fd, (struct sockaddr *)&sa, &len) == 0;
    types += getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size) == 0;
    set += setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof value) == 0;
    flags += fcntl(fd, F_GETFD) >= 0;
    waiting += ioctl(fd, FIONREAD, &value) == 0;
    shut += fd > c && fd > l && fd > s && shutdown(fd, SHUT_RDWR) == 0;
  }
  say("names %d, peers %d, types %d, set %d, flags %d, waiting %d, shut %d", names, peers, types, set, flags, waiting,
      shut);
  CALL(write(c, "on", 2));
  char byte;
  CALL(read(s, &byte, 1));
}
