/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handshake.h - TLS 1.3 handshakes on sockets that belong to others.
 *
 * Event-driven, on a pool of threads: a peer that is slow or hostile holds a timer, never a thread. The
 * socket's file status flags are never changed (MSG_DONTWAIT throughout), and not one byte beyond the
 * handshake is read. This interface knows nothing of the shim: a TCP socket goes in, traffic secrets or a
 * reason come out.
 */
#ifndef HANDSHAKE_HANDSHAKE_H
#define HANDSHAKE_HANDSHAKE_H

#include "../identity/identity.h"
#include "../policy/policy.h"
#include "svidwrap/arena.h"

#include <stdbool.h>
#include <stdint.h>

struct handshake_pool;
struct handshake;

enum handshake_outcome {
  HANDSHAKE_OK = 0,
  HANDSHAKE_TCP_FAILED,   /* dial: TCP connect failed; SO_ERROR was not read */
  HANDSHAKE_TIMEOUT,      /* ETIMEDOUT */
  HANDSHAKE_NOT_TLS,      /* EPROTO: plaintext, garbage, or a TLS version below 1.3 */
  HANDSHAKE_UNVERIFIED,   /* EACCES: no certificate, or it does not verify */
  HANDSHAKE_DENIED,       /* the policy says no (deny_errno) */
  HANDSHAKE_PEER_REFUSED, /* EACCES: the peer sent an alert about us */
  HANDSHAKE_PEER_CLOSED,  /* ECONNRESET: went away during the handshake */
  HANDSHAKE_INTERNAL,     /* EIO */
  HANDSHAKE_CANCELLED,
};

/* Secrets are cleansed by the pool after the callback. */
struct handshake_result {
  enum handshake_outcome outcome;
  char reason[256];     /* for the audit line: cause, with OpenSSL's or the verifier's words */
  bool would_deny;      /* policy: audit let it pass */
  struct spiffeid peer; /* len 0 where unknown; filled in when the certificate carried one, even if denied */
  struct spiffeid self;
  uint16_t cipher;      /* enum arena_cipher */
  uint64_t duration_us; /* from the first moment with a connected socket; 0: it never began */
  uint8_t rx_secret[ARENA_SECRET_MAX],
      tx_secret[ARENA_SECRET_MAX]; /* application traffic secrets 0, ours to read / write */
  uint8_t rx_records, tx_records;  /* records under them that have come and gone already: session tickets */
  bool resumed;                    /* the peer showed no certificate, but a ticket of a handshake in which it had */
};

/* On a thread of the pool; must not block. fd is the one given and stays the caller's throughout. */
typedef void (*handshake_fn)(void *arg, int fd, struct handshake_result *result);

struct handshake_request {
  int fd;
  enum arena_role role;
  bool connecting;           /* dial: TCP connect() is in progress, wait for it first */
  struct identity *identity; /* referenced until done */
  const struct identity_svid *svid;
  struct policy *policy; /* referenced until done */
  uint32_t rule;
  const char *host;    /* dial: the host name that the program resolved, or NULL; borrowed until done */
  uint32_t timeout_ms; /* 0: 10 s */
  handshake_fn done;
  void *arg;
};

/* threads 0: one a core. */
struct handshake_pool *handshake_pool_new(unsigned threads);
void handshake_pool_free(
    struct handshake_pool *pool); /* cancels what is under way; callbacks have run when it returns */

/* The callback runs exactly once, also for a cancelled one. NULL: out of memory (no callback). The callback may run
 * before this returns; the handle stays good for handshake_id() even so. */
struct handshake *handshake_begin(struct handshake_pool *pool, const struct handshake_request *request);
/* Ends it early (callback with HANDSHAKE_CANCELLED, or with what it had already become); any thread; the handle is
 * dead after the callback has returned: the caller serialises cancel against it with handshake_ids. */
uint64_t handshake_id(const struct handshake *h);
void handshake_cancel(struct handshake_pool *pool, uint64_t id);

/* The errno for a program's connect(). */
int handshake_errno(enum handshake_outcome outcome, int deny_errno);
const char *handshake_outcome_name(enum handshake_outcome outcome); /* "ok", "tcp_failed", ... */
/* The name of a TLS alert as in RFC 8446 section 6 ("access_denied"). */
const char *handshake_alert_name(int alert);

#endif
