/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#define BULK (8u << 20)

static pid_t cat(int fd, int other) {
  pid_t kid = fork();
  if (kid == 0) {
    close(other);
    dup2(fd, 0);
    dup2(fd, 1);
    close(fd);
    execl("/bin/cat", "cat", (char *)NULL);
    _exit(127);
  }
  close(fd);
  return kid;
}

static void *pour(void *arg) {
  int c = *(int *)arg;
  role("writer");
  say("wrote %zu", write_all(c, BULK, 0, 100000));
  shutdown(c, SHUT_WR);
  return NULL;
}

SCENARIO("Do megabytes pass there and back through a program that knows read() and write() only?") {
  int s, c;
  pair(&s, &c);
  pid_t kid = cat(s, c);
  pthread_t t = thread(pour, &c);
  nap(50);
  say("back %zu", read_all(c, BULK, 0, 70000));
  pthread_join(t, NULL);
  char b;
  CALL(read(c, &b, 1));
  child_status(kid);
}
