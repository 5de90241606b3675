/* SPDX-License-Identifier: Apache-2.0 */
#include "signal.h"

static volatile sig_atomic_t armed;

static void jumps_once(int sig) {
  (void)sig;
  if (armed) {
    armed = 0;
    siglongjmp(back, 1);
  }
}

static void alarm_after(int us) {
  struct itimerval t = {.it_value = {.tv_usec = us}};
  setitimer(ITIMER_REAL, &t, NULL);
}

/* Exits with 0 when a connect() works after one that the handler may have left, at whatever point of it. The second
 * argument, a port elsewhere, says after how many microseconds. */
IMAGE {
  struct sigaction sa = {.sa_handler = jumps_once, .sa_flags = SA_NODEFER};
  sigaction(SIGALRM, &sa, NULL);
  int c = client_socket(0);
  if (sigsetjmp(back, 1) == 0) {
    armed = 1;
    alarm_after(dead_port);
    (void)!connect_to(c, port);
  }
  armed = 0;
  alarm_after(0);
  close(c);
  c = client_socket(0);
  _exit(connect_to(c, port) == 0 ? 0 : 1);
}
