/* SPDX-License-Identifier: Apache-2.0 */
#include "badinput.h"

SCENARIO("Does a write from a mapped file that is too short answer EFAULT?") {
  int s, c, f = memfd_create("file", 0);
  pair(&s, &c);
  CALL(ftruncate(f, 100));
  char *p = mmap(NULL, 8192, PROT_READ, MAP_SHARED, f, 0);
  CALL(write(c, p, 100));
  CALL(write(c, p + 4096, 100));
  CALL(write(c, p + 4000, 200));
  char b[200];
  wait_mask(s, POLLIN, POLLIN);
  CALL(recv(s, b, sizeof b, 0));
  say_alive(s, c);
}
