/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

static volatile sig_atomic_t ios;

static void on_io(int sig) {
  (void)sig;
  ios++;
}

SCENARIO("Does SIGIO that was asked for before listen() tell of connections?") {
  int l = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  struct sockaddr_in a = at_port(port);
  struct sigaction act = {.sa_handler = on_io, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &act, NULL);
  setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  CALL(fcntl(l, F_SETOWN, getpid()));
  CALL(fcntl(l, F_SETSIG, SIGUSR1));
  CALL(fcntl(l, F_SETFL, O_ASYNC | O_NONBLOCK));
  CALL(bind(l, (struct sockaddr *)&a, sizeof a));
  CALL(listen(l, 5));
  CALL(fcntl(l, F_GETFL) & (O_ASYNC | O_NONBLOCK));
  CALL(fcntl(l, F_GETOWN) == getpid());
  CALL(fcntl(l, F_GETSIG) == SIGUSR1);
  int c = client_socket(0);
  connect_to(c, port);
  for (int i = 0; i < 200 && !ios; i++)
    nap(10);
  say("told of the connection %d", ios > 0);
}
