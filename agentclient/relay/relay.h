/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay.h - the relay engine: a protected connection whose program is out of the hooks' reach. The program has one
 * end of a stream socketpair; here its bytes are sealed and opened, by the same record engine that the shim has.
 *
 * A few threads of its own, bounded memory (two buffers a connection, and only while the other side cannot take what
 * is in them), no lock held across a call that blocks. It knows nothing of the shim: a copy of the connection's state
 * and two descriptors come in.
 */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include "svidwrap/arena.h"

#include <stdint.h>
#include <sys/types.h>

struct relay;
struct relay *relay_new(void);    /* threads start with their first connection; NULL: out of memory */
void relay_free(struct relay *r); /* ends all connections */

/* Memory for a copy of a slot: ARENA_STRIDE bytes, not dumped. relay_take() or relay_slot_free() ends it. */
struct arena_slot *relay_slot_new(void);
void relay_slot_free(struct arena_slot *slot); /* wipes */

/* Takes over the slot, the TCP socket and our end of the pair, whatever it answers. theirs stays the caller's; pid:
 * whose it is going to be, to be told of a broken connection. 0 or a negative errno. */
int relay_take(struct relay *r, struct arena_slot *slot, int tcp, int pair, int theirs, pid_t pid);

struct relay_totals {
  uint64_t live, bytes_in, bytes_out;
  uint64_t lingering;      /* of live: closed by their programs, and the peers have not taken all yet */
  uint64_t linger_refused; /* since the start: closed at once instead, for there were too many */
};
void relay_totals(struct relay *r, struct relay_totals *t);
uint64_t relay_linger_refused(struct relay *r); /* that one alone */
/* Each connection, from any thread, with a lock held: fn must not block, and reads of the slot but who it is for and
 * its counters. */
void relay_each(struct relay *r, void (*fn)(void *arg, const struct arena_slot *slot), void *arg);

#endif
