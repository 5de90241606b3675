/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

static void *connector(void *arg) {
  role("client");
  int c = client_socket(0);
  (void)arg;
  CALL(connect_to(c, port));
  say("wrote %zu", write_all(c, 1000, 0, 100));
  say("read %zu", read_all(c, 1000, 1000, 77));
  CALL(close(c));
  return NULL;
}

SCENARIO("Do accept() in one thread and connect() in another, both blocking, find each other?") {
  int l = listen_on(0, 8);
  pthread_t t = thread(connector, NULL);
  int x = (int)accept(l, NULL, NULL);
  say("accepted: %d", x >= 0);
  say("read %zu", read_all(x, 1000, 0, 1000));
  say("wrote %zu", write_all(x, 1000, 1000, 1000));
  char c;
  CALL(read(x, &c, 1));
  pthread_join(t, NULL);
}
