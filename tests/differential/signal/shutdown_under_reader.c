/* SPDX-License-Identifier: Apache-2.0 */
#include "signal.h"

SCENARIO("Does shutdown() wake a blocked reader?") {
  int s, c;
  pair(&s, &c);
  pthread_t t = thread(reads_on, &s);
  until_asleep(newest_thread);
  CALL(shutdown(s, SHUT_RDWR));
  pthread_join(t, NULL);
  CALL(close(s));
  char b;
  CALL(read(c, &b, 1));
}
