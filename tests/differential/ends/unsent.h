/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unsent.h - a side that has written more than its peer has room for, and what the peer finds of it in the end.
 */
#ifndef DIFFERENTIAL_UNSENT_H
#define DIFFERENTIAL_UNSENT_H

#include "scenario.h"

/* Writes until nothing more is taken: most of it is in the kernel, unsent, for nobody reads. Its length. */
static inline size_t write_until_full(int fd) {
  enum { PIECE = 16000 };
  uint8_t *buf = malloc(PIECE);
  size_t done = 0;
  ssize_t n;
  set_nonblock(fd, true);
  do {
    fill(buf, PIECE, done);
    n = write(fd, buf, PIECE);
    done += n > 0 ? (size_t)n : 0;
  } while (n > 0);
  free(buf);
  if (done < 200000)
    give_up("the kernel took too little");
  return done;
}

/* What became of it: all, or a part, and how it ends. */
static inline void say_all_came(int fd, size_t wrote) {
  char b[10];
  nap(100); /* a reset of ours that the peer answered would be here */
  size_t got = read_all(fd, wrote, 0, 50000);
  say("all came: %d", got == wrote);
  CALL(read(fd, b, sizeof b));
  CALL(read(fd, b, sizeof b));
}

static inline void say_error(int fd) {
  int error = -1;
  socklen_t len = sizeof error;
  CALL(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len));
  say("SO_ERROR %s", error ? errno_name(error) : "0");
}

#endif
