/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seat.h - one descriptor number whose file is about to be another one: what the program has set on the number
 * (close-on-exec, the epoll sets that watch it) stays with the number.
 */
#ifndef SHIM_SEAT_H
#define SHIM_SEAT_H

#include <stddef.h>
#include <stdint.h>

#define SEAT_SETS 16

struct seat {
  int fd, cloexec;
  size_t count;
  struct {
    int epfd;
    uint32_t events;
    uint64_t data;
  } set[SEAT_SETS];
};

/* The number leaves its epoll sets and answers EBADF to every hook (fdtab_leave()). One of the others follows. */
void seat_leave(struct seat *t, int fd);
/* The file of another number comes there, with these FDF_*. 0, or a negative errno: the number is closed. */
int seat_take(const struct seat *t, int from, uint8_t flags);

/* Those of the numbers 0 to 2 that are free get something harmless, so that no file of ours comes there even for a
 * moment: what the C library prints would go into it. A bit for each, for seat_unplug(); -1: that cannot be done. */
int seat_plug(void);
void seat_unplug(int plugs);

#endif
