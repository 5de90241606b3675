/* SPDX-License-Identifier: Apache-2.0 */
#include "io.h"

SCENARIO("Does a blocking write wait for room?") {
  int s, c;
  pair(&s, &c);
  struct flow f = {c, 10u << 20, 10u << 20, "writer"};
  pthread_t t = thread(writes, &f);
  nap(200);
  say("read %zu", read_all(s, f.n, 0, 1u << 20));
  pthread_join(t, NULL);
}
