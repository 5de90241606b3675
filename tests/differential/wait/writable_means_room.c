/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

/* Programs that end the connection at an EAGAIN which follows "writable" lean on it. */
static bool writable(int way, int fd) {
  struct pollfd p = {.fd = fd, .events = POLLOUT};
  struct timeval now = {0};
  fd_set w;
  FD_ZERO(&w);
  FD_SET(fd, &w);
  return (way ? select(fd + 1, NULL, &w, NULL, &now) : poll(&p, 1, 0)) == 1;
}

SCENARIO("Does a write go at least in part wherever poll() or select() has just said that it would?") {
  static char bytes[65536];
  static const int sizes[] = {0, 5000, 12000, 30000, 80000};
  static const size_t pieces[] = {700, 8192, 20000, 65536};
  for (size_t k = 0; k < 20; k++) {
    int s, c, refused[2] = {0}, taken = 0;
    pair(&s, &c);
    if (sizes[k / 4] && setsockopt(c, SOL_SOCKET, SO_SNDBUF, &sizes[k / 4], sizeof sizes[0]) != 0)
      give_up("SO_SNDBUF");
    fcntl(c, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 3000; i++) {
      int way = i & 1;
      if (writable(way, c)) {
        ssize_t n = write(c, bytes, pieces[k % 4]);
        refused[way] += n < 0;
        taken += n > 0;
      } else {
        (void)!recv(s, bytes, (size_t)(1000 + i * 37 % 30000), MSG_DONTWAIT);
      }
    }
    say("%zu of %d: refused %d %d, taken %d", pieces[k % 4], sizes[k / 4], refused[0], refused[1], taken > 5);
    close(s);
    close(c);
  }
}
