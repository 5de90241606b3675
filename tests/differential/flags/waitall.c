/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

static int waitall_client;

static void *second_half(void *arg) {
  (void)arg;
  nap(100);
  write_all(waitall_client, 50, 50, 50);
  nap(100);
  write_all(waitall_client, 30, 100, 7);
  shutdown(waitall_client, SHUT_WR);
  return NULL;
}

SCENARIO("Does MSG_WAITALL wait for all of it, and no longer than to the end?") {
  int s;
  char b[200];
  pair(&s, &waitall_client);
  write_all(waitall_client, 50, 0, 50);
  pthread_t t = thread(second_half, NULL);
  CALL(recv(s, b, 100, MSG_WAITALL));
  say("same %d", same(b, 100, 0));
  CALL(recv(s, b, 100, MSG_WAITALL));
  say("same %d", same(b, 30, 100));
  CALL(recv(s, b, 100, MSG_WAITALL));
  pthread_join(t, NULL);
}
