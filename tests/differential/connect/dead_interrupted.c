/* SPDX-License-Identifier: Apache-2.0 */
#include "connect.h"

static void on_signal(int sig) { (void)sig; }

SCENARIO("What happens to a blocking connect() that a signal interrupts?") {
  int c = client_socket(0);
  struct sigaction sa = {.sa_handler = on_signal};
  sigaction(SIGUSR1, &sa, NULL);
  pid_t me = getpid(), kid = fork();
  if (kid == 0) {
    until_asleep(me);
    kill(me, SIGUSR1);
    _exit(0);
  }
  CALL(connect_to(c, dead_port));
  say_poll("still in progress", c, POLLIN | POLLOUT, 30);
  set_nonblock(c, true);
  CALL(connect_to(c, dead_port));
  CALL(close(c));
  while (waitpid(kid, NULL, 0) < 0 && errno == EINTR) {
  }
}
