/* SPDX-License-Identifier: Apache-2.0 */
#include "badinput.h"

SCENARIO("Is memory that was good for a write, and is good no more, noticed?") {
  int s, c;
  char *p = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), b[100];
  pair(&s, &c);
  fill(p, 4 * 4096, 0);
  CALL(write(c, p, 10));
  CALL(mprotect(p, 4096, PROT_NONE));
  CALL(write(c, p, 10));
  CALL(mprotect(p, 4096, PROT_READ));
  CALL(write(c, p, 10));
  CALL(write(c, p + 4096, 10));
  CALL(munmap(p + 4096, 4096));
  CALL(write(c, p + 4096, 10));
  CALL(write(c, p + 8192, 10));
  say("moved over %d", mmap(p + 8192, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p + 8192);
  CALL(write(c, p + 8192, 10));
  CALL(write(c, p + 12288, 10));
  char *q = mremap(p + 12288, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, p + 4096);
  say("moved %d", q == p + 4096);
  CALL(write(c, p + 12288, 10));
  CALL(write(c, q, 10));
  wait_mask(s, POLLIN, POLLIN);
  nap(50);
  CALL(recv(s, b, sizeof b, 0));
  CALL(write(c, b, 10));
  CALL(recv(s, q, 10, MSG_WAITALL));
  CALL(mprotect(q, 4096, PROT_READ));
  CALL(write(c, b, 10));
  wait_mask(s, POLLIN, POLLIN);
  CALL(recv(s, q, 10, MSG_WAITALL));
  CALL(recv(s, b, 10, 0));
}
