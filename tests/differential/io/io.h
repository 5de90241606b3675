/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.h - what several scenarios of this family need.
 */
#ifndef DIFFERENTIAL_IO_H
#define DIFFERENTIAL_IO_H

#include "scenario.h"

struct flow {
  int fd;
  size_t n, piece;
  const char *who;
};

static inline void *writes(void *arg) {
  struct flow *f = arg;
  role(f->who);
  say("wrote %zu", write_all(f->fd, f->n, 0, f->piece));
  return NULL;
}

static inline void huge_one_way(size_t n, size_t wrote, size_t read_piece) {
  int s, c;
  pair(&s, &c);
  struct flow f = {c, n, wrote, "writer"};
  pthread_t t = thread(writes, &f);
  say("read %zu", read_all(s, n, 0, read_piece));
  pthread_join(t, NULL);
}

/* Fills the connection until EAGAIN stays. Returns what went in. */
static inline size_t fill_up(int fd, uint64_t at) {
  static char buf[60000];
  size_t sent = 0;
  for (int quiet = 0; quiet < 3;) {
    fill(buf, sizeof buf, at + sent);
    ssize_t n = write(fd, buf, sizeof buf);
    if (n > 0) {
      sent += (size_t)n;
      quiet = 0;
    } else if (errno == EAGAIN) {
      nap(30);
      quiet++;
    } else {
      say("fill_up: %s", errno_name(errno));
      break;
    }
    if (sent > (64u << 20))
      give_up("never full");
  }
  return sent;
}

static inline int temp_file(size_t n) {
  char path[] = "/tmp/scenario-XXXXXX";
  int fd = mkstemp(path);
  unlink(path);
  write_all(fd, n, 0, 65536);
  return fd;
}

#endif
