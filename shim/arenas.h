/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arenas.h - the arenas that this process has mapped, in pieces, on demand.
 */
#ifndef SHIM_ARENAS_H
#define SHIM_ARENAS_H

#include "svidwrap/arena.h"

#include <stdint.h>

/* Takes over fd (hidden). 0 or a negative errno; an arena already known: fd is closed, 0. */
int arenas_add(uint64_t id, int fd);
/* The arena that a mapped slot is in; 0: none that is still known. */
uint64_t arenas_of(const struct arena_slot *slot);
/* Its descriptor, hidden and ours; -1: it is not known, or this process was another user when it got it. */
int arenas_fd(uint64_t id);
/* The slot, mapped; NULL with errno ENOENT when the arena is not known, else another errno. */
struct arena_slot *arenas_slot(uint64_t id, uint32_t slot);

/* In the child of fork(). */
void arenas_after_fork(void);

#endif
