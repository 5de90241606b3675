/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <sched.h>

static struct step unshared, over;

static void *apart(void *arg) {
  role("thread");
  CALL(unshare(CLONE_FILES));
  step_go(&unshared);
  step_wait(&over);
  return arg;
}

/* By then another thread's numbers are not ours; when it has ended all is well. */
SCENARIO("A thread has a table of descriptors of its own before there is any socket: does one get protected?") {
  int s, c;
  step_init(&unshared);
  step_init(&over);
  pthread_t t = thread(apart, NULL);
  step_wait(&unshared);
  int l = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in a = at_port(port);
  bind(l, (struct sockaddr *)&a, sizeof a);
  CALL(listen(l, 5));
  close(l);
  step_go(&over);
  pthread_join(t, NULL);
  pair(&s, &c);
  say("wrote %zu", write_all(s, 1000, 0, 1000));
  say("there %zu", read_all(c, 1000, 0, 1000));
  close(s);
  close(c);
}
