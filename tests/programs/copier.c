/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copier.c - copies its standard input to its standard output. Linked statically: nothing is preloaded into it.
 */
#include <unistd.h>

int main(void) {
  char b[4096];
  for (ssize_t n; (n = read(0, b, sizeof b)) > 0;)
    if (write(1, b, (size_t)n) != n)
      return 1;
  return 0;
}
