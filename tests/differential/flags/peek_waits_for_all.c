/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

static int client;

static void *later(void *arg) {
  (void)arg;
  for (int i = 1; i <= 5; i++) {
    nap(60);
    write_all(client, 100, (uint64_t)i * 100, 33);
  }
  nap(60);
  shutdown(client, SHUT_WR);
  return NULL;
}

SCENARIO("Does MSG_PEEK with MSG_WAITALL wait for what comes, for the end, and for no longer than SO_RCVTIMEO?") {
  int s;
  char b[1000];
  struct timeval t = {0, 200000};
  pair(&s, &client);
  write_all(client, 100, 0, 100);
  CALL(recv(s, b, 300, MSG_PEEK | MSG_WAITALL | MSG_DONTWAIT));
  setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
  CALL(recv(s, b, 300, MSG_PEEK | MSG_WAITALL));
  t.tv_usec = 0;
  setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
  pthread_t th = thread(later, NULL);
  CALL(recv(s, b, 300, MSG_PEEK | MSG_WAITALL));
  say("same %d", same(b, 300, 0));
  CALL(recv(s, b, 450, MSG_WAITALL));
  CALL(recv(s, b, 1000, MSG_PEEK | MSG_WAITALL));
  say("same %d", same(b, 150, 450));
  CALL(recv(s, b, 1000, MSG_WAITALL));
  CALL(recv(s, b, 1000, MSG_PEEK | MSG_WAITALL));
  pthread_join(th, NULL);
}
