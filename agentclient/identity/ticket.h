/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ticket.h - what both ends keep so that a peer who was verified once need not show its certificate every time.
 *
 * A server keeps nothing: what it has to know comes back in a ticket, sealed under a key that belongs to one
 * generation of one identity and dies with it. A client keeps tickets with that generation, too, each for one use.
 * So trust bundles, revocation lists and our own SVIDs are, whenever a ticket is good, the very ones under which the
 * peer was verified; what can have changed meanwhile is the time and the policy, and both are asked again.
 * Thread-safe.
 */
#ifndef IDENTITY_TICKET_H
#define IDENTITY_TICKET_H

#include "identity.h"

#include <stdbool.h>

#define TICKET_PSK_MAX 48 /* SHA-384 */
/* The longest ticket: nonce, tag, fields, and a SPIFFE ID of 2048 bytes. */
#define TICKET_MAX (12u + 16u + 36u + TICKET_PSK_MAX + SPIFFEID_MAX)
/* So many come at once, and at most; a full handshake follows when they are used up. */
#define TICKET_BATCH_MAX 64u
#define TICKET_LIFE_S    3600

/* One side's view of a session that can be resumed. Holds a secret: wipe it. */
struct ticket_state {
  uint16_t cipher;      /* TLS cipher suite; the hash of the secret */
  uint32_t svid;        /* our own SVID in it, as identity_svid_at() counts */
  time_t from, until;   /* in which every certificate of the peer's path is valid, and our own */
  struct spiffeid peer; /* whom identity_verify_peer() found */
  uint8_t psk[TICKET_PSK_MAX];
  uint8_t psk_len;
};

/* -- server (ticket.c) ------------------------------------------------------------------------------------- */

/* The ticket's length, at most TICKET_MAX, in out of that size; -1: none can be made. */
int ticket_seal(const struct identity *id, const struct ticket_state *s, uint8_t *out);
/* 0, or -1: not a ticket of this generation, or not of this SVID. The caller asks time and policy. */
int ticket_open(const struct identity *id, uint32_t svid, const uint8_t *ticket, size_t len, struct ticket_state *s);

/* -- client (purse.c) -------------------------------------------------------------------------------------- */

/* Where a ticket can be used: destination, rule, own SVID and server name, hashed. */
struct ticket_place {
  uint8_t hash[32];
};
struct sockaddr;
int ticket_place_make(struct ticket_place *place, const struct sockaddr *peer, uint32_t rule, uint32_t svid,
                      const char *server_name);

struct ticket_item {
  const uint8_t *ticket;
  size_t len;
  const uint8_t *psk; /* psk_len bytes, as in the state that they have in common */
};
/* Keeps copies; what does not fit is dropped, or drops what was not used for longest. */
void purse_put(struct identity *id, const struct ticket_place *place, const struct ticket_state *common,
               const struct ticket_item *items, size_t n);
/* Takes one out: its length in ticket (TICKET_MAX), and *s filled in; 0: there is none. *want: how many to ask
 * for at the next full handshake there; the more, the faster they were used up. */
size_t purse_take(struct identity *id, const struct ticket_place *place, time_t now, uint8_t *ticket,
                  struct ticket_state *s, unsigned *want);
/* Forgets what is kept for a place: the server did not take one of them, or we do not want to any more. */
void purse_drop(struct identity *id, const struct ticket_place *place);
size_t purse_count(struct identity *id); /* tickets in all */

#endif
