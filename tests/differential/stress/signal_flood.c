/* SPDX-License-Identifier: Apache-2.0 */
#include "stress.h"

static void nothing(int sig) { (void)sig; }

SCENARIO("A flood of signals with SA_RESTART: does no call answer EINTR?") {
  struct sigaction sa = {.sa_handler = nothing, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &sa, NULL);
  pid_t me = getpid(), kid = fork();
  if (kid == 0) {
    while (kill(me, SIGUSR1) == 0 && getppid() == me)
      usleep(500);
    _exit(0);
  }
  say("good %zu", with_threads(NULL));
  kill(kid, SIGKILL);
  waitpid(kid, NULL, 0);
}
