/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manners.c - status flags, timeouts and signals of a number whose file is exchanged.
 */
#include "manners.h"

#include "libc.h"

#include <fcntl.h>

void manners_copy(int from, int to) {
  static const int timeouts[] = {SO_RCVTIMEO, SO_SNDTIMEO};
  int flags = libc_real()->fcntl(from, F_GETFL);
  if (flags >= 0 && (flags & O_NONBLOCK))
    libc_real()->fcntl(to, F_SETFL, libc_real()->fcntl(to, F_GETFL) | O_NONBLOCK);
  for (size_t i = 0; i < 2; i++) {
    struct timeval t;
    socklen_t len = sizeof t;
    if (libc_real()->getsockopt(from, SOL_SOCKET, timeouts[i], &t, &len) == 0)
      libc_real()->setsockopt(to, SOL_SOCKET, timeouts[i], &t, sizeof t);
  }
}

void manners_move_async(int from, int to) {
  struct f_owner_ex owner = {0};
  int flags = libc_real()->fcntl(from, F_GETFL), sig = libc_real()->fcntl(from, F_GETSIG);
  if (libc_real()->fcntl(from, F_GETOWN_EX, &owner) == 0 && owner.pid != 0)
    libc_real()->fcntl(to, F_SETOWN_EX, &owner);
  if (sig > 0)
    libc_real()->fcntl(to, F_SETSIG, sig);
  if (flags < 0 || !(flags & O_ASYNC))
    return;
  libc_real()->fcntl(from, F_SETFL, flags & ~O_ASYNC);
  libc_real()->fcntl(to, F_SETFL, libc_real()->fcntl(to, F_GETFL) | O_ASYNC);
}
