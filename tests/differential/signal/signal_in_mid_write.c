/* SPDX-License-Identifier: Apache-2.0 */
#include "signal.h"

static void once(int sig) {
  (void)sig;
  caught++; /* a second one: the first, in the middle of the write, was in vain */
}

/* Now and then a busy machine lets the signal come before write() has begun. */
#define ROUNDS 24

/* So many microseconds into the write, and if that does not end it, a second later. */
static void alarm_in(long us) {
  struct itimerval t = {.it_value.tv_usec = us, .it_interval.tv_sec = 1};
  setitimer(ITIMER_REAL, &t, NULL);
}

SCENARIO("A signal comes while a large write() is still being taken: does the write end where it would block?") {
  int s, c;
  static char b[16u << 20];
  struct sigaction sa = {.sa_handler = once};
  sigaction(SIGALRM, &sa, NULL);
  fill(b, sizeof b, 0);
  int partly = 0;
  for (int i = 0; i < ROUNDS; i++) {
    pair(&s, &c);
    caught = 0;
    alarm_in(100 + 50 * i);
    ssize_t n = write(c, b, sizeof b); /* nobody reads: it blocks */
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    partly += n > 0 && n < (ssize_t)sizeof b && caught == 1;
    close(s);
    close(c);
  }
  say("nearly always: %d", partly > ROUNDS / 2);
}
