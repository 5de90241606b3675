/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_file.h - the ledger as bytes, and back. No I/O.
 *
 * A file is a head (LEDGER_FILE_HEAD bytes: 8 of magic, 16 random ones) and records. A record is u32 length of the
 * body, u32 its complement, 16 bytes of SHA-256 over (the digest before, length, body), and the body: a byte of kind
 * and what belongs to it. Little-endian. The digests are chained from the head, so that a record can neither change
 * nor be missing, come twice or out of another file unnoticed. A file may end within a record: that one was being
 * written when the writer was killed.
 */
#ifndef OBSERVE_LEDGER_FILE_H
#define OBSERVE_LEDGER_FILE_H

#include "ledger_internal.h"

#define LEDGER_FILE_HEAD   24
#define LEDGER_FILE_DIGEST 16
#define LEDGER_FILE_FRAME  (4 + 4 + LEDGER_FILE_DIGEST)
#define LEDGER_BODY_MAX    65535

/* Bodies in a row, each behind its u32 length, as yet without digests. */
struct ledger_bodies {
  uint8_t *data;
  size_t len, room;
  bool failed; /* out of memory: worth nothing */
};
void ledger_bodies_free(struct ledger_bodies *b);

/* The whole ledger, every entry numbered anew from 1. Returns how many there are. */
uint32_t ledger_write_all(struct ledger *l, struct ledger_bodies *to);
/* What is not on disk yet, and is taken for written from now on. ids: how many the file has. Returns how many it
 * has then. */
uint32_t ledger_write_dirty(struct ledger *l, struct ledger_bodies *to, uint32_t ids, time_t now);

/* Makes a head, and the digest that the first record continues. */
void ledger_file_head(uint8_t head[LEDGER_FILE_HEAD], uint8_t digest[LEDGER_FILE_DIGEST]);
/* Bodies as records; digest is the one before and becomes the last one. NULL: out of memory. */
uint8_t *ledger_file_frame(const struct ledger_bodies *b, uint8_t digest[LEDGER_FILE_DIGEST], size_t *len);

enum ledger_file_end {
  LEDGER_FILE_WHOLE,
  LEDGER_FILE_TORN,    /* ends within a record */
  LEDGER_FILE_DAMAGED, /* at `at` stands what nobody wrote there; what is before it was counted */
  LEDGER_FILE_FOREIGN, /* no file of ours, or of another version */
};
/* Adds a file's counts to the ledger. *at: the offset at which it ends. */
enum ledger_file_end ledger_file_read(struct ledger *l, const uint8_t *data, size_t len, size_t *at);

#endif
