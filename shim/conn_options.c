/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn_options.c - socket options that the kernel may not see on a protected connection: they would count sealed
 * bytes, or move the place that the record engine's own MSG_PEEK looks at. Nor may they be set while the daemon
 * makes the handshake on the socket.
 */
#include "conn_int.h"

#ifndef SO_PEEK_OFF
#define SO_PEEK_OFF 42
#endif
#ifndef SO_ZEROCOPY
#define SO_ZEROCOPY 60
#endif

static int get(int fd, int name, int otherwise) {
  int value = otherwise;
  socklen_t len = sizeof value;
  return libc_real()->getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 ? value : otherwise;
}

static void set(int fd, int name, int value) { libc_real()->setsockopt(fd, SOL_SOCKET, name, &value, sizeof value); }

void conn_take_options(struct conn *c, int from, int to) {
  int keep = errno, lowat = get(from, SO_RCVLOWAT, 1), off = get(from, SO_PEEK_OFF, -1);
  if (lowat > 1) {
    if (c)
      atomic_store(&c->lowat, lowat);
    set(to, SO_RCVLOWAT, c ? 1 : lowat);
  }
  if (off >= 0)
    set(to, SO_PEEK_OFF, c ? -1 : off);
  errno = keep;
}

void conn_give_options(const struct conn *c, int fd) {
  int keep = errno, lowat = atomic_load(&c->lowat);
  if (lowat > 1)
    set(fd, SO_RCVLOWAT, lowat);
  errno = keep;
}

bool conn_zerocopy(int fd) { return get(fd, SO_ZEROCOPY, 0) != 0; }
