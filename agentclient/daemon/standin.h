/* SPDX-License-Identifier: Apache-2.0 */
/*
 * standin.h - delivery into a program: one connection to its stand-in listener for every peer that is let
 * through, and the ring.
 *
 * An offer is kept, TCP socket and all, until the program has taken it. What cannot be delivered now (the
 * stand-in's backlog is full, no descriptors, too many in flight, parked by the program) is offered again;
 * only a stand-in that is gone for good ends it, and then the peer is reset, as TCP does.
 */
#ifndef DAEMON_STANDIN_H
#define DAEMON_STANDIN_H

#include "serve.h"
#include "slots.h"
#include "svidwrap/wire.h"

#include <event2/event.h>
#include <stdbool.h>

struct standin;

struct standin_ops {
  void (*taken)(void *arg); /* an offer is in the program's hands */
  /* Nobody listens there (stolen: somebody else's process does): look, and call standin_free() if it is so;
   * else it is tried again later. */
  void (*gone)(void *arg, bool stolen);
  /* Before taken, where it is in plaintext: its socket is open still. */
  void (*taken_plain)(void *arg, const struct serve_conn *c);
  /* Before a connection in plaintext is sent: true: it may not go any more, and its new owner is who says so. */
  bool (*withdrawn)(void *arg, struct serve_conn *c);
};

/* uid: who must be behind the name (root may be, too, if root_may). NULL: out of memory. */
struct standin *standin_new(struct event_base *base, const char *name, uid_t uid, bool root_may,
                            const struct standin_ops *ops, void *arg);
/* Its holder is this uid's process now, who has shown it: when he listens again, he is behind the name. */
void standin_allow(struct standin *s, uid_t uid);
/* Resets every peer that was not taken. */
void standin_free(struct standin *s);

/* Takes c over, and the ticket, whose slot of a (referenced) is READY. */
void standin_offer(struct standin *s, struct serve_conn *c, struct slots *a, struct slots_ticket t);

/* One in plaintext: takes c over. */
void standin_offer_plain(struct standin *s, struct serve_conn *c);

/* Wakes the program with a message that carries no socket, unless one of this kind is still unread. */
void standin_ring(struct standin *s, enum wire_handover_kind kind);

/* For a name that nothing else is known of: one ring and no bookkeeping beyond it. uid: who must be behind it, or
 * STANDIN_ANYBODY: a ring carries nothing that he could use. */
#define STANDIN_ANYBODY ((uid_t)-1)
int standin_ring_once(const char *name, uid_t uid, enum wire_handover_kind kind);

unsigned standin_waiting(const struct standin *s);

#endif
