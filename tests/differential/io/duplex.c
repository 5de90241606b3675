/* SPDX-License-Identifier: Apache-2.0 */
#include "io.h"

static void *reads(void *arg) {
  struct flow *f = arg;
  role(f->who);
  say("read %zu", read_all(f->fd, f->n, 0, f->piece));
  return NULL;
}

SCENARIO("Can two threads a side read and write one connection at once?") {
  int s, c;
  pair(&s, &c);
  struct flow f[4] = {{c, 4u << 20, 70001, "client writes"},
                      {c, 4u << 20, 33333, "client reads"},
                      {s, 4u << 20, 5003, "server writes"},
                      {s, 4u << 20, 100000, "server reads"}};
  pthread_t t[4];
  for (int i = 0; i < 4; i++)
    t[i] = thread(i % 2 ? reads : writes, &f[i]);
  for (int i = 0; i < 4; i++)
    pthread_join(t[i], NULL);
  char x;
  set_nonblock(s, true);
  CALL(read(s, &x, 1));
}
