/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

#include <asm/ioctls.h>

static void answers(const char *what, int fd) {
  int n = -1;
  struct f_owner_ex o = {0};
  say("-- %s", what);
  CALL(fcntl(fd, F_GETOWN));
  CALL(fcntl(fd, F_SETOWN, getpid()));
  CALL(fcntl(fd, F_GETOWN) == getpid());
  CALL(fcntl(fd, F_SETOWN, -getpgrp()));
  CALL(fcntl(fd, F_GETOWN) == -getpgrp());
  o = (struct f_owner_ex){F_OWNER_TID, getpid()};
  CALL(fcntl(fd, F_SETOWN_EX, &o));
  o = (struct f_owner_ex){0};
  CALL(fcntl(fd, F_GETOWN_EX, &o));
  say("owner %d %d", o.type, o.pid == getpid());
  n = getpid();
  CALL(ioctl(fd, FIOSETOWN, &n));
  n = 0;
  CALL(ioctl(fd, FIOGETOWN, &n));
  say("owner %d", n == getpid());
  n = -getpgrp();
  CALL(ioctl(fd, SIOCSPGRP, &n));
  n = 0;
  CALL(ioctl(fd, SIOCGPGRP, &n));
  say("owner %d", n == -getpgrp());
  CALL(fcntl(fd, F_SETSIG, SIGUSR2));
  CALL(fcntl(fd, F_GETSIG));
  CALL(fcntl(fd, F_SETSIG, 9999));
  CALL(fcntl(fd, F_SETOWN, 0));
  CALL(fcntl(fd, F_GETOWN));
}

SCENARIO("Do all the ways to say who gets SIGIO and SIGURG read back as they were set?") {
  int l, s, c;
  pair_keep(&l, &s, &c);
  answers("listener", l);
  answers("server", s);
  answers("client", c);
  int p = client_socket(SOCK_NONBLOCK);
  CALL(connect_to(p, dead_port));
  answers("connect in progress", p);
}
