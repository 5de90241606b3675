/* SPDX-License-Identifier: Apache-2.0 */
#include "threads.h"

static int s, c;
static volatile sig_atomic_t wrote, got;

static void handler(int sig) {
  (void)sig;
  char b[10];
  int keep = errno;
  struct pollfd p = {.fd = s, .events = POLLIN};
  wrote = (int)write(c, "handler", 7);
  poll(&p, 1, 1000);
  got = (int)recv(s, b, sizeof b, 0);
  errno = keep;
}

SCENARIO("Do calls work in a handler on an alternative stack of the usual size?") {
  stack_t st = {.ss_size = (size_t)SIGSTKSZ};
  struct sigaction a = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
  pair(&s, &c);
  char *p = mmap(NULL, st.ss_size + 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(p, 4096, PROT_NONE);
  st.ss_sp = p + 4096;
  CALL(sigaltstack(&st, NULL));
  sigaction(SIGUSR1, &a, NULL);
  CALL(raise(SIGUSR1));
  say("wrote %d, got %d", (int)wrote, (int)got);
}
