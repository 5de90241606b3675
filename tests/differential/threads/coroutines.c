/* SPDX-License-Identifier: Apache-2.0 */
#include "threads.h"

#include <ucontext.h>

static ucontext_t back, one, two;
static int s, c;
static char log_[100];
static size_t logged;

static void writer(void) {
  for (int i = 0; i < 5; i++) {
    while (send(c, &"abcde"[i], 1, MSG_DONTWAIT) != 1)
      swapcontext(&one, &two);
    swapcontext(&one, &two);
  }
  shutdown(c, SHUT_WR);
  swapcontext(&one, &two);
}

static void reader(void) {
  for (;;) {
    ssize_t n = recv(s, log_ + logged, sizeof log_ - logged, MSG_DONTWAIT);
    if (n == 0)
      return;
    if (n > 0)
      logged += (size_t)n;
    struct pollfd p = {.fd = s, .events = POLLIN};
    poll(&p, 1, 1);
    swapcontext(&two, &one);
  }
}

SCENARIO("Do coroutines on stacks of their own read and write?") {
  static char stacks[2][16384 * 2];
  pair(&s, &c);
  getcontext(&one);
  getcontext(&two);
  one.uc_stack = (stack_t){.ss_sp = stacks[0], .ss_size = sizeof stacks[0]};
  two.uc_stack = (stack_t){.ss_sp = stacks[1], .ss_size = sizeof stacks[1]};
  one.uc_link = two.uc_link = &back;
  makecontext(&one, writer, 0);
  makecontext(&two, reader, 0);
  swapcontext(&back, &one);
  say("%.*s", (int)logged, log_);
}
