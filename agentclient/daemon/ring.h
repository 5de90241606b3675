/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.h - a new worker wakes the programs that a dead one left behind.
 */
#ifndef DAEMON_RING_H
#define DAEMON_RING_H

#include <event2/event.h>
#include <stdbool.h>
#include <sys/types.h>

struct ring;

/* Is this stand-in registered with us already? */
typedef bool (*ring_known_fn)(void *arg, const char *name);

/* Rings every stand-in of this uid (0: of everybody) in the network namespace: "register again". One whose backlog is
 * full is tried again for a while. NULL: nothing to do, or no memory. */
struct ring *ring_begin(struct event_base *base, uid_t uid, ring_known_fn known, void *arg);
void ring_end(struct ring *r);

#endif
