/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slots.h - one arena: who allocates slots, fills in the daemon's part and takes them back.
 *
 * The truth about a slot (is it allocated, how often, since when) is in the daemon's own memory. From
 * the shared memory only `state` and the counters are read, with atomics, and nothing follows from them
 * but that a slot is given back. Control thread only; reference-counted.
 */
#ifndef DAEMON_SLOTS_H
#define DAEMON_SLOTS_H

#include "svidwrap/arena.h"

#include <stdbool.h>
#include <stdint.h>

struct handshake_result;
struct slots;

struct slots *slots_new(void); /* one reference; NULL and errno */
struct slots *slots_ref(struct slots *a);
/* With the last reference every slot that no program took is wiped, and the memory unmapped. */
void slots_unref(struct slots *a);

uint64_t
slots_id(const struct slots *a); /* 64 random bits, never 0: knowing it is what opens it to a process of its uid */
int slots_fd(const struct slots *a);

/* What the daemon writes into a fresh slot, beside the result of the handshake. */
struct slots_fill {
  enum arena_role role;
  uint32_t flags, rule;
  struct sockaddr_storage peer;
  uint32_t peer_len;
};
struct slots_ticket {
  uint32_t slot, use;
};
/* Allocates a slot, fills it in, makes it READY. 0, or -1 and errno (ENOBUFS: all in use; ENOMEM). */
int slots_fill(struct slots *a, const struct slots_fill *f, const struct handshake_result *r,
               struct slots_ticket *out);

/* Why slots_fill() failed, and what helps, for a log line. */
const char *slots_why(int err);
extern uint32_t slots_most; /* that an arena gives away: ARENA_SLOTS, less in tests */

/* Nobody saw the ticket, or nobody will: wipes the slot and frees it at once. */
void slots_abandon(struct slots *a, struct slots_ticket t);
/* The ticket was delivered. A slot that stays READY is reclaimed some time after that. */
void slots_delivered(struct slots *a, struct slots_ticket t);

/* The slot while a program has it (LIVE); NULL otherwise. Shared memory: hostile input. */
struct arena_slot *slots_live(const struct slots *a, struct slots_ticket t);
/* The relay has its connection now: wipes it; it is free after the holders' last close. */
void slots_moved(struct slots *a, struct slots_ticket t);
/* How many processes hold the connection that was moved, as they count; 0: none, or it was not. */
uint32_t slots_moved_holders(const struct slots *a, struct slots_ticket t);

/* Told when the slot is free again, however that came; NULL: nobody. */
void slots_on_free(struct slots *a, struct slots_ticket t, void (*fn)(void *arg), void *arg);
void *slots_watcher(const struct slots *a, struct slots_ticket t); /* that arg; NULL: nobody is told */
/* Every further call of the program on this connection answers err. */
void slots_revoke(struct slots *a, struct slots_ticket t, int err);
/* Takes this one back if it was released: true. */
bool slots_reclaim(struct slots *a, struct slots_ticket t);
/* Takes back what was released. Call now and then. */
void slots_sweep(struct slots *a);
/* The same, unless that was done less than ms ago: false. */
bool slots_sweep_after(struct slots *a, int64_t ms);

/* For status: connections in use and their counters. */
struct slots_totals {
  uint64_t live, ready, bytes_in, bytes_out;
};
void slots_totals(const struct slots *a, struct slots_totals *t);
/* What connections had moved when their slots were given back, over all arenas of the process. */
void slots_past(struct slots_totals *t);

/* A connection in use, copied out of memory that its program can write to: counters are what the program says. */
struct slots_view {
  bool taken;      /* LIVE; else handed over and not taken yet */
  uint16_t cipher; /* enum arena_cipher, or anything */
  uint64_t bytes_in, bytes_out;
};
/* false: it is over. */
bool slots_look(const struct slots *a, struct slots_ticket t, struct slots_view *v);

#endif
