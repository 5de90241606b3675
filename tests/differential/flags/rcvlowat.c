/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

static int client;

static void *later(void *arg) {
  (void)arg;
  nap(100);
  write_all(client, 200, 40, 200);
  return NULL;
}

SCENARIO("Does SO_RCVLOWAT make reads wait, and is it what was set?") {
  int s, n = 100;
  char b[1000];
  socklen_t len = sizeof n;
  pair(&s, &client);
  CALL(getsockopt(s, SOL_SOCKET, SO_RCVLOWAT, &n, &len));
  say("at first %d", n);
  n = 100;
  CALL(setsockopt(s, SOL_SOCKET, SO_RCVLOWAT, &n, sizeof n));
  CALL(getsockopt(s, SOL_SOCKET, SO_RCVLOWAT, &n, &len));
  say("now %d", n);
  write_all(client, 40, 0, 40);
  nap(50);
  CALL(recv(s, b, 10, 0));
  CALL(recv(s, b, 10, MSG_DONTWAIT));
  CALL(recv(s, b, 1000, MSG_DONTWAIT | MSG_PEEK));
  pthread_t t = thread(later, NULL);
  CALL(recv(s, b, 80, 0));
  pthread_join(t, NULL);
  CALL(recv(s, b, 140, MSG_WAITALL));
  write_all(client, 300, 0, 300);
  say_wait("enough", s, POLLIN);
  CALL(recv(s, b, 1000, 0));
  n = -5;
  CALL(setsockopt(s, SOL_SOCKET, SO_RCVLOWAT, &n, 2));
  n = 0;
  CALL(setsockopt(s, SOL_SOCKET, SO_RCVLOWAT, &n, sizeof n));
  CALL(getsockopt(s, SOL_SOCKET, SO_RCVLOWAT, &n, &len));
  say("now %d", n);
  write_all(client, 1, 0, 1);
  CALL(recv(s, b, 10, 0));
  n = 5000;
  CALL(setsockopt(s, SOL_SOCKET, SO_RCVLOWAT, &n, sizeof n));
  write_all(client, 1, 0, 1);
  shutdown(client, SHUT_WR);
  CALL(recv(s, b, 10, 0));
  CALL(recv(s, b, 10, 0));
}
