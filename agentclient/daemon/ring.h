/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.h - a new worker wakes the programs that a dead one left behind.
 */
#ifndef DAEMON_RING_H
#define DAEMON_RING_H

#include <event2/event.h>
#include <sys/types.h>

struct ring;

/* Rings every stand-in of this uid in the network namespace: "register again". One whose backlog is full is tried
 * again for a while. NULL: nothing to do, or no memory. */
struct ring *ring_begin(struct event_base *base, uid_t uid);
void ring_end(struct ring *r);

#endif
