/* SPDX-License-Identifier: Apache-2.0 */
#include "threads.h"

/* Children are killed while they read and write a connection that they share: what the parent does next must not
 * hang. (Natively the stream goes on; a record that was half read or sent has no other end than a reset.) */
static void child(int fd) {
  static char b[60000];
  for (;;) {
    if (send(fd, b, sizeof b, MSG_NOSIGNAL) < 0)
      _exit(1);
  }
}

static void *drain(void *arg) {
  static char b[100000];
  while (read(*(int *)arg, b, sizeof b) > 0)
    ;
  return NULL;
}

SCENARIO(
    "Does a process that is killed in the middle of a call leave others able to go on or fail, and not to hang?") {
  int l, s, c;
  for (int i = 0; i < 20; i++) {
    pair_keep(&l, &s, &c);
    close(l);
    pthread_t t = thread(drain, &s);
    pid_t pid = fork();
    if (pid == 0)
      child(c);
    usleep((useconds_t)(2000 + i * 137));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    ssize_t n = send(c, "after it", 8, MSG_NOSIGNAL);
    if (n != 8 && errno != ECONNRESET && errno != EPIPE)
      say("%zd %s", n, errno_name(errno));
    close(c);
    pthread_join(t, NULL);
    close(s);
  }
  say("done");
}
