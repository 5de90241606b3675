/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h - the memory that a session's processes and the daemon share: one slot a connection.
 *
 * The daemon makes the memfd, allocates and frees slots, and writes a slot's first part (the
 * "daemon's part") once, before it hands the connection over. From then on the slot belongs to the
 * program: the daemon reads counters, state and nothing else there, and treats every byte as
 * hostile. It never takes a lock in it and never follows an index from it unchecked.
 *
 * Layout of the memfd: slot i begins at byte i * ARENA_STRIDE. The file is sparse: the buffers of a
 * slot exist only while it holds a partial record. It is mapped ARENA_CHUNK_SLOTS at a time.
 */
#ifndef SVIDWRAP_ARENA_H
#define SVIDWRAP_ARENA_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>

#define ARENA_PAGE        4096u
#define ARENA_RBUF        (20u * 1024u) /* >= 5 + 2^14 + 256, one whole record, or its plaintext */
#define ARENA_WBUF        (72u * 1024u) /* sealed bytes that the kernel has not taken yet: up to 4 records */
#define ARENA_STRIDE      (ARENA_PAGE + ARENA_RBUF + ARENA_WBUF) /* 96 KiB */
#define ARENA_SLOTS       65536u
#define ARENA_CHUNK_SLOTS 64u /* 6 MiB a mapping */
#define ARENA_SLOT_MAGIC  0x746f6c73u

#define ARENA_SECRET_MAX 48   /* SHA-384 */
#define ARENA_ID_MAX     2048 /* a SPIFFE ID */

enum arena_role { ARENA_CLIENT = 0, ARENA_SERVER = 1 };

/* TLS 1.3 cipher suites, IANA numbers (RFC 8446 B.4). */
enum arena_cipher {
  ARENA_AES_128_GCM_SHA256 = 0x1301,
  ARENA_AES_256_GCM_SHA384 = 0x1302,
  ARENA_CHACHA20_POLY1305_SHA256 = 0x1303,
};

enum arena_state {
  ARENA_FREE = 0,     /* the daemon may allocate it */
  ARENA_READY = 1,    /* the daemon filled it in; not taken yet */
  ARENA_LIVE = 2,     /* taken by the program (set by the shim) */
  ARENA_RELEASED = 3, /* the program's last close; secrets are wiped (set by the shim) */
  ARENA_MOVED = 4, /* the relay has it: wiped by the daemon, waits for the holders' last close (set by the daemon) */
};

#define ARENA_TRUNCATION_EOF 1u /* rule says truncation: eof */

/* One direction's protection. The daemon writes secret (hash length) and seq (records that it has sent or read
 * itself: session tickets) and leaves the rest zero; the shim derives key and IV when it takes the slot. */
struct arena_side {
  uint8_t secret[ARENA_SECRET_MAX]; /* application traffic secret N */
  uint8_t key[32];
  uint8_t iv[12];
  uint32_t epoch; /* number of KeyUpdates so far; a process's EVP context is of one epoch */
  uint64_t seq;   /* sequence number of the next record in this epoch */
};

/* ARENA_EOF_SHUT: nothing has come since the program's own shutdown(SHUT_RD); more may. */
enum arena_eof { ARENA_EOF_NONE, ARENA_EOF_END, ARENA_EOF_SHUT };

struct arena_slot {
  /* -- the daemon's part, written once before hand-over -- */
  uint32_t magic;
  uint32_t use; /* how often this slot was allocated: stale references are told apart */
  uint32_t index;
  uint16_t cipher; /* enum arena_cipher */
  uint8_t role;    /* enum arena_role */
  uint8_t pad0;
  uint32_t flags; /* ARENA_TRUNCATION_EOF ... */
  uint32_t rule;
  uint64_t opened_ns; /* CLOCK_MONOTONIC */
  uint32_t peer_len;
  uint16_t peer_id_len;
  uint16_t local_id_len;
  struct sockaddr_storage peer;
  char peer_id[ARENA_ID_MAX]; /* not NUL-terminated */

  /* -- the program's part -- */
  _Atomic uint32_t state;   /* enum arena_state */
  _Atomic uint32_t holders; /* processes that hold the connection */
  _Atomic uint64_t bytes_in, bytes_out, records_in, records_out;
  pthread_mutex_t rlock, wlock; /* robust, process-shared; initialised by whoever takes the slot */
  struct arena_side rx, tx;

  /* read side, under rlock */
  uint32_t r_have; /* bytes of an incomplete record at the start of the read buffer */
  uint32_t r_off;  /* plaintext that waits: read buffer [r_off, r_off + r_len) */
  uint32_t r_len;
  uint8_t r_last;     /* one byte of the record that waits as plaintext is still in the kernel */
  uint8_t r_eof;      /* enum arena_eof */
  uint8_t r_dirty;    /* the read buffer's pages are resident */
  uint8_t r_shut;     /* the program's own shutdown(SHUT_RD): the end of the stream is no truncation */
  int32_t r_error;    /* errno of a fatal condition, to be reported (again and again) */
  uint32_t r_hs_have; /* bytes of an incomplete post-handshake message, kept in r_hs */
  uint8_t r_hs[64];   /* KeyUpdate may be split; longer messages (tickets) are only counted off */
  uint32_t r_hs_skip; /* bytes of a long post-handshake message still to be dropped */
  uint32_t r_busy;    /* the side is being changed: whoever dies now leaves it unusable */
  uint32_t r_idle;    /* records in a row that brought no data */
  uint8_t r_gone;     /* r_error is the kernel's: told once, then the stream is at its end */
  uint8_t r_done;     /* the peer's close_notify said that it reads no more */
  uint8_t r_pad[2];
  uint32_t r_spare[5];

  /* write side, under wlock */
  uint32_t w_off; /* sealed, unsent: write buffer [w_off, w_off + w_len) */
  uint32_t w_len;
  uint8_t w_shut; /* close_notify sealed; nothing may follow */
  uint8_t w_dirty;
  uint8_t w_tight; /* the kernel took less than SO_MEMINFO promised: ask poll() as well */
  /* Connected, but no connect() has said so yet: as with TCP the next one answers 0, and those after it EISCONN. */
  _Atomic uint8_t connect0;
  int32_t w_error;
  _Atomic uint32_t w_key_update; /* the reader saw update_requested: the writer answers before its next record */
  _Atomic uint32_t revoked;      /* set by the daemon: errno for every further call, 0 if none */
  uint32_t w_busy;               /* as r_busy */
  uint32_t w_room;               /* bytes that the send buffer is known to have room for, less what was sent since */
  uint32_t w_spare[6];
  char local_id[ARENA_ID_MAX - 1024]; /* truncated where longer; informative */
};

_Static_assert(sizeof(struct arena_slot) <= ARENA_PAGE, "a slot's state is one page");
_Static_assert(ARENA_STRIDE % ARENA_PAGE == 0, "slots are page-aligned");

static inline uint8_t *arena_rbuf(struct arena_slot *s) { return (uint8_t *)s + ARENA_PAGE; }
static inline uint8_t *arena_wbuf(struct arena_slot *s) { return (uint8_t *)s + ARENA_PAGE + ARENA_RBUF; }

#endif
