/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

static int client;

static void on_alarm(int sig) { (void)sig; }

/* What a read that a signal ends answers: the signal comes once it waits. */
static ssize_t interrupted(int s, void *b, int flags) {
  pid_t me = getpid(), kid = fork();
  if (kid == 0) {
    until_asleep(me);
    kill(me, SIGALRM);
    _exit(0);
  }
  ssize_t n = recv(s, b, 300, flags);
  int error = errno;
  while (waitpid(kid, NULL, 0) < 0 && errno == EINTR) {
  }
  errno = error;
  return n;
}

SCENARIO("What do signals and timeouts make of a read that waits for all?") {
  int s;
  char b[1000];
  struct sigaction a = {.sa_handler = on_alarm};
  struct timeval t = {0, 150000};
  pair(&s, &client);
  write_all(client, 100, 0, 100);
  setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
  CALL(recv(s, b, 300, MSG_WAITALL));
  CALL(recv(s, b, 300, MSG_WAITALL));
  t.tv_usec = 0;
  setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
  sigaction(SIGALRM, &a, NULL);
  write_all(client, 100, 0, 100);
  CALL(interrupted(s, b, MSG_WAITALL));
  CALL(interrupted(s, b, MSG_WAITALL));
  write_all(client, 100, 0, 100);
  CALL(interrupted(s, b, MSG_WAITALL | MSG_PEEK));
  CALL(recv(s, b, 300, 0));
}
