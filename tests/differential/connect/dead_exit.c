/* SPDX-License-Identifier: Apache-2.0 */
#include "connect.h"

static void *hangs(void *arg) {
  int c = *(int *)arg;
  connect_to(c, dead_port);
  return NULL;
}

SCENARIO("May the program end while a thread of it is in connect()?") {
  pid_t kid = fork();
  if (kid == 0) {
    static int c;
    c = client_socket(0);
    thread(hangs, &c);
    nap(100);
    exit(7);
  }
  child_status(kid);
}
