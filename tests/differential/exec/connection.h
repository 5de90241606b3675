/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connection.h - a connection, half read, goes into another image on a number above 2.
 */
#ifndef DIFFERENTIAL_EXEC_CONNECTION_H
#define DIFFERENTIAL_EXEC_CONNECTION_H

#include "exec.h"

/* In a child: the first ten of 5000 bytes are read, the connection is on 5 (and 6), all else is closed. */
static inline void ready_for_image(int fd, bool twice) {
  char b[10];
  if (recv(fd, b, 10, MSG_WAITALL) != 10 || !same(b, 10, 0))
    give_up("recv");
  dup2(fd, 20);
  if (dup2(20, 5) != 5 || (twice && dup2(20, 6) != 6))
    give_up("dup2");
  for (int n = twice ? 7 : 6; n < 40; n++)
    close(n);
}

/* The other end, once the image runs. */
static inline void talk_to_image(int c, bool twice, pid_t kid) {
  char b;
  if (twice)
    say("by the other number %zu", read_all(c, 1000, 0, 1000));
  say("read %zu", read_all(c, 20000, 0, 5000));
  CALL(read(c, &b, 1));
  CALL(shutdown(c, SHUT_WR));
  child_status(kid);
}

#endif
