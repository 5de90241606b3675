/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connect.h - what several scenarios of this family need.
 */
#ifndef DIFFERENTIAL_CONNECT_H
#define DIFFERENTIAL_CONNECT_H

#include "scenario.h"

static inline void say_so_error(int fd) {
  int error = -1;
  socklen_t len = sizeof error;
  CALL(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len));
  say("SO_ERROR %s", errno_name(error));
}

static inline void say_peer(int fd) {
  struct sockaddr_in a;
  socklen_t len = sizeof a;
  CALL(getpeername(fd, (struct sockaddr *)&a, &len));
}

#endif
