/* SPDX-License-Identifier: Apache-2.0 */
#include "listen.h"

static void *accepts(void *arg) {
  role("acceptor");
  int l = *(int *)arg;
  CALL(accept(l, NULL, NULL));
  return NULL;
}

SCENARIO("Does shutdown() wake a thread out of accept()?") {
  int l = listen_on(0, 8);
  pthread_t t = thread(accepts, &l);
  until_asleep(newest_thread);
  CALL(shutdown(l, SHUT_RDWR));
  pthread_join(t, NULL);
  CALL(close(l));
  CALL(try_bind(1));
}
