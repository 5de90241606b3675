/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h - TLS 1.3 record protection (RFC 8446 section 5): bytes in, bytes out. No I/O, no locks, no
 * allocation but the cipher context. Used by the shim, the daemon's relay, the tests and the fuzzers.
 */
#ifndef SVIDWRAP_RECORD_H
#define SVIDWRAP_RECORD_H

#include "svidwrap/arena.h"

#include <stddef.h>
#include <stdint.h>

#define RECORD_HEADER    5u
#define RECORD_PLAIN_MAX 16384u
#define RECORD_TAG       16u
#define RECORD_OVERHEAD  22u /* header 5, inner content type 1, tag 16 */
#define RECORD_WIRE_MAX  (RECORD_HEADER + RECORD_PLAIN_MAX + 256u)

enum record_type { RECORD_CHANGE_CIPHER_SPEC = 20, RECORD_ALERT = 21, RECORD_HANDSHAKE = 22, RECORD_DATA = 23 };

/* Errors are negative; each names the alert a peer deserves (RFC 8446 section 6.2). */
enum record_error {
  RECORD_OK = 0,
  RECORD_SHORT = -1,      /* the header is not complete yet */
  RECORD_OVERFLOW = -2,   /* record_overflow(22): longer than 2^14 + 256 */
  RECORD_BAD_MAC = -3,    /* bad_record_mac(20): does not authenticate (too short for a tag included) */
  RECORD_UNEXPECTED = -4, /* unexpected_message(10): wrong outer type or all-zero inner plaintext */
  RECORD_EXHAUSTED = -5,  /* sequence numbers used up: a KeyUpdate was needed before */
  RECORD_INTERNAL = -6,   /* the crypto library refused */
};

struct record_ctx; /* one direction, one epoch: cipher context with key schedule */

/* Hash length of a cipher suite (32 or 48), key length (16 or 32); 0 for an unknown suite. */
unsigned record_hash_len(uint16_t cipher);
unsigned record_key_len(uint16_t cipher);

/* Derives key and IV of side from side->secret (HKDF-Expand-Label "key", "iv"), sets seq to 0. */
int record_side_init(struct arena_side *side, uint16_t cipher);
/* Moves to the next application traffic secret ("traffic upd"), derives key and IV, seq 0, epoch + 1. */
int record_side_update(struct arena_side *side, uint16_t cipher);
/* True when no further record may be sealed in this epoch without a KeyUpdate (2^24.5 for AES-GCM, with
 * room for the KeyUpdate itself). */
int record_side_worn(const struct arena_side *side, uint16_t cipher);

/* A cipher context for the side's present key. NULL: out of memory. Wiped by record_ctx_free. */
struct record_ctx *record_ctx_new(const struct arena_side *side, uint16_t cipher, int seal);
void record_ctx_free(struct record_ctx *ctx);

/* Reads a record header of 5 bytes. Length of the whole record on the wire (header included), or an error. */
int record_length(const uint8_t *header, size_t have);

/* Opens the complete record rec[0..len). Up to out_len bytes of content are written to out and the rest,
 * where there is some, to more (more_len >= the rest; may be NULL when the content is known to fit).
 * *type receives the inner content type; returns the content's length without padding, or an error.
 * side->seq advances by one on success only. On error nothing of the plaintext is left behind. */
int record_open(struct record_ctx *ctx, struct arena_side *side, const uint8_t *rec, size_t len, uint8_t *out,
                size_t out_len, uint8_t *more, size_t more_len, uint8_t *type);

/* Seals n <= RECORD_PLAIN_MAX bytes gathered from iov (starting skip bytes into it) as one record of the
 * given type into out (n + RECORD_OVERHEAD bytes). Returns that length, or an error. seq advances. */
struct iovec;
int record_seal(struct record_ctx *ctx, struct arena_side *side, uint8_t type, const struct iovec *iov, int iovcnt,
                size_t skip, size_t n, uint8_t *out);

#endif
