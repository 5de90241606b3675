/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seat.c - a number changes its file under the program (see seat.h).
 */
#include "seat.h"

#include "epollreg.h"
#include "fdtab.h"
#include "libc.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Whoever has the old file on would go on being reported: out of every epoll set. */
static void leave_sets(struct seat *t) {
  for (int ep = fdtab_next_flagged(0, FDF_EPOLL); ep >= 0 && t->count < SEAT_SETS;
       ep = fdtab_next_flagged(ep + 1, FDF_EPOLL)) {
    t->set[t->count].epfd = ep;
    if (epollreg_registered(ep, t->fd, &t->set[t->count].events, &t->set[t->count].data) &&
        libc_real()->epoll_ctl(ep, EPOLL_CTL_DEL, t->fd, NULL) == 0)
      t->count++;
  }
}

void seat_leave(struct seat *t, int fd) {
  int flags = libc_real()->fcntl(fd, F_GETFD);
  *t = (struct seat){.fd = fd, .cloexec = flags >= 0 && (flags & FD_CLOEXEC) ? O_CLOEXEC : 0};
  leave_sets(t);
  fdtab_leave(fd, true);
}

int seat_take(const struct seat *t, int from, uint8_t flags) {
  if (libc_real()->dup3(from, t->fd, t->cloexec) < 0) {
    int failed = errno;
    fdtab_gone(t->fd);
    return -failed;
  }
  fdtab_stays(t->fd);
  if (flags)
    fdtab_mark(t->fd, flags);
  for (size_t i = 0; i < t->count; i++) {
    struct epoll_event e = {.events = t->set[i].events, .data.u64 = t->set[i].data};
    epollreg_hook(t->set[i].epfd, EPOLL_CTL_ADD, t->fd, &e);
  }
  return 0;
}

int seat_plug(void) {
  int plugs = 0;
  int nothing = fdtab_nothing();
  for (;;) {
    int fd = nothing >= 0 ? libc_real()->fcntl(nothing, F_DUPFD_CLOEXEC, 0) : -1;
    if (fd > STDERR_FILENO) {
      libc_real()->close(fd);
      return plugs;
    }
    if (fd < 0)
      break;
    fdtab_fresh(fd);
    plugs |= 1 << fd;
  }
  seat_unplug(plugs);
  return -1;
}

void seat_unplug(int plugs) {
  for (int fd = 0; fd <= STDERR_FILENO; fd++) {
    if (plugs & (1 << fd))
      libc_real()->close(fd);
  }
}
