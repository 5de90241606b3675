/* SPDX-License-Identifier: Apache-2.0 */
#include "threads.h"

#define READERS 4
static int s;
static _Atomic size_t total;
static _Atomic unsigned long sum;

static void *reader(void *arg) {
  unsigned char b[777];
  for (ssize_t n; (n = read(s, b, sizeof b)) > 0;) {
    total += (size_t)n;
    for (ssize_t i = 0; i < n; i++)
      sum += b[i];
  }
  return arg;
}

SCENARIO("Do several threads that read one connection, and several that write it, get each byte once?") {
  int c;
  unsigned long want = 0;
  static unsigned char b[200000];
  pthread_t t[READERS];
  pair(&s, &c);
  for (size_t i = 0; i < sizeof b; i++)
    want += b[i] = (unsigned char)(i * 31 + i / 256);
  for (int i = 0; i < READERS; i++)
    t[i] = thread(reader, NULL);
  for (size_t at = 0; at < sizeof b;) {
    ssize_t n = write(c, b + at, 1 + at % 5000 < sizeof b - at ? 1 + at % 5000 : sizeof b - at);
    if (n <= 0)
      break;
    at += (size_t)n;
  }
  shutdown(c, SHUT_WR);
  for (int i = 0; i < READERS; i++)
    pthread_join(t[i], NULL);
  say("bytes %zu, sum right %d", (size_t)total, sum == want);
}
