/* SPDX-License-Identifier: Apache-2.0 */
#include "threads.h"

#define ROUNDS 150

static int fds[2];

static void *echo(void *arg) {
  (void)arg;
  char b[5000];
  for (;;) {
    ssize_t n = read(fds[0], b, sizeof b);
    if (n <= 0)
      return NULL;
    for (ssize_t at = 0; at < n;)
      at += write(fds[0], b + at, (size_t)(n - at));
  }
}

/* Cancelled anywhere: a call has happened or not, bytes and all. */
static void *caller(void *arg) {
  char b[3000];
  if (arg)
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
  memset(b, 'a', sizeof b);
  for (unsigned i = 0;; i += 7) {
    if (send(fds[1], b, 1 + i % sizeof b, MSG_DONTWAIT) < 0 && errno != EAGAIN)
      return arg;
    recv(fds[1], b, sizeof b, i % 2 ? MSG_DONTWAIT : 0);
    for (size_t k = 0; k < sizeof b; k++) {
      if (b[k] != 'a')
        give_up("not an a");
    }
  }
}

SCENARIO("Do threads that are cancelled at any moment leave a connection in order?") {
  pair(&fds[0], &fds[1]);
  pthread_t e = thread(echo, NULL);
  int cancelled = 0;
  for (int i = 0; i < ROUNDS; i++) {
    void *result = NULL;
    pthread_t t = thread(caller, NULL);
    if (i % 3)
      usleep((useconds_t)(i % 50) * 20);
    pthread_cancel(t);
    pthread_join(t, &result);
    cancelled += result == PTHREAD_CANCELED;
  }
  say("cancelled %d", cancelled);
  char b[5000];
  nap(100);
  while (recv(fds[1], b, sizeof b, MSG_DONTWAIT) > 0)
    ;
  CALL(write(fds[1], "the end", 7));
  CALL(recv(fds[1], b, 7, MSG_WAITALL));
  say("same %d", memcmp(b, "the end", 7) == 0);
  close(fds[1]);
  pthread_join(e, NULL);
}
