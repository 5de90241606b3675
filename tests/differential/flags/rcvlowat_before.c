/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

static int client;

static void *later(void *arg) {
  int fd = *(int *)arg;
  nap(50);
  write_all(fd, 500, 100, 500);
  return NULL;
}

SCENARIO("Does SO_RCVLOWAT that was set before connect() and before accept() still hold?") {
  int l = socket(AF_INET, SOCK_STREAM, 0), s, n = 500, one = 1;
  char b[1000];
  socklen_t len = sizeof n;
  struct sockaddr_in a = at_port(port);
  setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  CALL(setsockopt(l, SOL_SOCKET, SO_RCVLOWAT, &n, sizeof n));
  CALL(bind(l, (struct sockaddr *)&a, sizeof a));
  CALL(listen(l, 5));
  client = client_socket(0);
  CALL(setsockopt(client, SOL_SOCKET, SO_RCVLOWAT, &n, sizeof n));
  CALL(connect_to(client, port));
  s = accept(l, NULL, NULL);
  n = 0;
  CALL(getsockopt(client, SOL_SOCKET, SO_RCVLOWAT, &n, &len));
  say("client %d", n);
  CALL(getsockopt(s, SOL_SOCKET, SO_RCVLOWAT, &n, &len));
  say("server %d", n);
  write_all(s, 100, 0, 100);
  pthread_t t = thread(later, &s);
  CALL(recv(client, b, sizeof b, 0));
  pthread_join(t, NULL);
  write_all(client, 100, 0, 100);
  t = thread(later, &client);
  CALL(recv(s, b, sizeof b, 0));
  pthread_join(t, NULL);
  CALL(getsockopt(l, SOL_SOCKET, SO_RCVLOWAT, &n, &len));
  say("listener %d", n);
}
