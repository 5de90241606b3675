/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay.h - what several scenarios of this family need.
 */
#ifndef DIFFERENTIAL_RELAY_H
#define DIFFERENTIAL_RELAY_H

#include "scenario.h"

static inline void say_names(int fd, const struct sockaddr_in *client) {
  struct sockaddr_in a;
  socklen_t len = sizeof a;
  int value = -1;
  memset(&a, 0, sizeof a);
  CALL(getpeername(fd, (struct sockaddr *)&a, &len));
  say("family %d, length %u, the client %d", a.sin_family, len,
      a.sin_port == client->sin_port && a.sin_addr.s_addr == client->sin_addr.s_addr);
  len = 7;
  CALL(getpeername(fd, (struct sockaddr *)&a, &len));
  say("length %u", len);
  len = sizeof a;
  CALL(getsockname(fd, (struct sockaddr *)&a, &len));
  say("family %d, the port %d", a.sin_family, a.sin_port == htons(port));
  len = sizeof value;
  CALL(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &len));
  say("domain %d", value);
  CALL(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &value, &len));
  say("protocol %d", value);
  CALL(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len));
  say("type %d", value);
  value = 1;
  CALL(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value));
  CALL(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof value));
  CALL(getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &value, &len));
}

#endif
