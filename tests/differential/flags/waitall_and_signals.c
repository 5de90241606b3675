/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

static int client;

static void on_alarm(int sig) { (void)sig; }

SCENARIO("What do signals and timeouts make of a read that waits for all?") {
  int s;
  char b[1000];
  struct sigaction a = {.sa_handler = on_alarm};
  struct timeval t = {0, 150000};
  struct itimerval once = {{0, 0}, {0, 100000}};
  pair(&s, &client);
  write_all(client, 100, 0, 100);
  setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
  CALL(recv(s, b, 300, MSG_WAITALL));
  CALL(recv(s, b, 300, MSG_WAITALL));
  t.tv_usec = 0;
  setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
  sigaction(SIGALRM, &a, NULL);
  write_all(client, 100, 0, 100);
  setitimer(ITIMER_REAL, &once, NULL);
  CALL(recv(s, b, 300, MSG_WAITALL));
  setitimer(ITIMER_REAL, &once, NULL);
  CALL(recv(s, b, 300, MSG_WAITALL));
  write_all(client, 100, 0, 100);
  setitimer(ITIMER_REAL, &once, NULL);
  CALL(recv(s, b, 300, MSG_WAITALL | MSG_PEEK));
  CALL(recv(s, b, 300, 0));
}
