/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listen.h - what several scenarios of this family need.
 */
#ifndef DIFFERENTIAL_LISTEN_H
#define DIFFERENTIAL_LISTEN_H

#include "scenario.h"

static inline int try_bind(int reuse) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in a = at_port(port);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
  int r = bind(fd, (struct sockaddr *)&a, sizeof a), e = errno;
  if (r == 0)
    r = listen(fd, 5), e = errno;
  close(fd);
  errno = e;
  return r;
}

#endif
