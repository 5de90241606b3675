/* SPDX-License-Identifier: Apache-2.0 */
#include "threads.h"

#define THREADS 3
static int fds[THREADS][2];
static _Atomic int stop;

static void *busy(void *arg) {
  int *pair_ = arg;
  char b[5000];
  memset(b, 'b', sizeof b);
  while (!stop) {
    if (send(pair_[0], b, sizeof b, 0) != (ssize_t)sizeof b ||
        recv(pair_[1], b, sizeof b, MSG_WAITALL) != (ssize_t)sizeof b)
      return arg;
  }
  return NULL;
}

SCENARIO(
    "Does a child of a program with busy threads have connections that it can use, and leave the parent's alone?") {
  int l, s, c, bad = 0;
  pthread_t t[THREADS];
  char b[32];
  pair_keep(&l, &s, &c);
  for (int i = 0; i < THREADS; i++) {
    fds[i][0] = client_socket(0);
    connect_to(fds[i][0], port);
    fds[i][1] = accept(l, NULL, NULL);
    t[i] = thread(busy, fds[i]);
  }
  for (int i = 0; i < 40; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      for (int k = 0; k < THREADS; k++) { /* the parent's threads are at work on these */
        close(fds[k][0]);
        close(fds[k][1]);
      }
      int fd = client_socket(0), rc = write(c, "from the child", 14) == 14 ? 0 : 1;
      if (i % 10 == 0 && connect_to(fd, port) != 0)
        rc = 2;
      _exit(rc);
    }
    int status;
    waitpid(pid, &status, 0);
    bad += status != 0 || recv(s, b, 14, MSG_WAITALL) != 14;
    if (i % 10 == 0)
      close(accept(l, NULL, NULL));
  }
  stop = 1;
  for (int i = 0; i < THREADS; i++) {
    void *r;
    pthread_join(t[i], &r);
    bad += r != NULL;
  }
  say("wrong %d", bad);
}
