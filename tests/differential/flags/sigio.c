/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

static volatile sig_atomic_t ios, last_fd, band;

static void on_io(int sig, siginfo_t *info, void *context) {
  (void)sig;
  (void)context;
  last_fd = info->si_fd;
  band |= (int)info->si_band;
  ios++;
}

SCENARIO("Does SIGIO tell of connections and of data?") {
  int l = listen_on(0, 8), s, c, on = 1;
  struct sigaction a = {.sa_sigaction = on_io, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(SIGIO, &a, NULL);
  sigaction(SIGRTMIN, &a, NULL);
  CALL(fcntl(l, F_SETOWN, getpid()));
  CALL(fcntl(l, F_GETOWN) == getpid());
  CALL(fcntl(l, F_SETFL, O_ASYNC));
  CALL(fcntl(l, F_GETFL) & O_ASYNC);
  c = client_socket(0);
  connect_to(c, port);
  for (int i = 0; i < 200 && !ios; i++)
    nap(10);
  say("told of the connection %d", ios > 0);
  s = accept(l, NULL, NULL);
  say("inherited %d", fcntl(s, F_GETFL) & O_ASYNC);
  CALL(fcntl(s, F_SETOWN, getpid()));
  CALL(fcntl(s, F_SETSIG, SIGRTMIN));
  CALL(ioctl(s, FIOASYNC, &on));
  CALL(fcntl(s, F_GETFL) & O_ASYNC);
  CALL(fcntl(s, F_GETSIG) == SIGRTMIN);
  ios = band = 0;
  write_all(c, 10, 0, 10);
  for (int i = 0; i < 200 && !ios; i++)
    nap(10);
  say("told of data %d, by its number %d, readable %d", ios > 0, last_fd == s, (band & POLLIN) != 0);
  say("read %zu", read_all(s, 10, 0, 10));
}
