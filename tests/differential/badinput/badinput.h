/* SPDX-License-Identifier: Apache-2.0 */
/*
 * badinput.h - memory that is not there, for scenarios that hand it to calls.
 */
#ifndef DIFFERENTIAL_BADINPUT_H
#define DIFFERENTIAL_BADINPUT_H

#include "scenario.h"

#include <limits.h>
#include <sys/mman.h>

/* `pages` pages that can be read and written, and one behind them that cannot. */
static inline char *before_a_hole(size_t pages) {
  char *p = mmap(NULL, (pages + 1) * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED || mprotect(p + pages * 4096, 4096, PROT_NONE) != 0)
    give_up("mmap");
  return p;
}

static inline void *nowhere(void) {
  static void *p;
  if (!p)
    p = before_a_hole(1) + 4096;
  return p;
}

static inline void *read_only(void) {
  void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED)
    give_up("mmap");
  return p;
}

/* Behind every bad call: is the connection as good as ever? */
static inline void say_alive(int s, int c) {
  char b[16];
  say("still there: %zd", write(c, "still there", 11));
  wait_mask(s, POLLIN, POLLIN);
  ssize_t n = recv(s, b, sizeof b, MSG_DONTWAIT);
  say("got %zd, same %d", n, n == 11 && memcmp(b, "still there", 11) == 0);
}

#endif
