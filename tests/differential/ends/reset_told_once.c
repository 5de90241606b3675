/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

static void reset(int *s, int *c, bool data) {
  struct linger hard = {1, 0};
  pair(s, c);
  if (data)
    CALL(write(*s, "data", 4));
  setsockopt(*s, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close(*s);
  wait_mask(*c, POLLHUP, POLLHUP);
}

SCENARIO("Who is told of a reset, and what do the calls after that one answer?") {
  int s, c, n = -1;
  char b[10];
  struct mmsghdr m = {0};
  signal(SIGPIPE, SIG_IGN);
  reset(&s, &c, false);
  CALL(read(c, b, 10));
  CALL(read(c, b, 10));
  CALL(write(c, b, 10));
  close(c);
  reset(&s, &c, false);
  CALL(send(c, b, 0, 0));
  CALL(send(c, b, 0, 0));
  close(c);
  reset(&s, &c, false);
  CALL(recvmmsg(c, &m, 1, 0, NULL));
  close(c);
  reset(&s, &c, true);
  CALL(recv(c, b, 10, MSG_WAITALL));
  CALL(recv(c, b, 10, MSG_WAITALL));
  CALL(recv(c, b, 10, MSG_WAITALL));
  close(c);
  reset(&s, &c, false);
  CALL(ioctl(c, FIONREAD, &n));
  say_poll("FIONREAD took nothing away", c, POLLIN | POLLOUT, 0);
  CALL(shutdown(c, SHUT_RDWR));
  CALL(write(c, b, 10));
  CALL(write(c, b, 10));
  close(c);
}
