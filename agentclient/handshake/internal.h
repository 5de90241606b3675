/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal.h - what the files of handshake/ share and nobody else sees.
 *
 * pool.c owns the threads and the table of handshakes; one.c drives one of them; the rest are its tools.
 */
#ifndef HANDSHAKE_INTERNAL_H
#define HANDSHAKE_INTERNAL_H

#include "handshake.h"
#include "../identity/context.h"
#include "../identity/ticket.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/bio.h>
#include <sys/queue.h>

/* -- io.c: the socket, as OpenSSL sees it -------------------------------------------------------------- */

struct handshake_io {
  int fd;
  enum arena_role role;
  bool muted;   /* what is written from now on is dropped */
  bool foreign; /* what arrived does not begin like TLS */
  bool eof;
  int error; /* errno of recv() or send(), 0 if none */
  uint64_t received;
  uint8_t first[5];
  uint8_t first_len;
  uint8_t *out; /* written but not sent: one flight is sent as one piece */
  size_t out_len, out_off, out_cap;
};
BIO *handshake_io_bio(struct handshake_io *io); /* io is borrowed; NULL: out of memory */
/* Sends what waits: 1 all gone, 0 the socket is full, -1 error (io->error). */
int handshake_io_flush(struct handshake_io *io);
/* Appends to what waits. 0, or -1: out of memory. */
int handshake_io_append(struct handshake_io *io, const void *data, size_t len);
void handshake_io_mute(struct handshake_io *io); /* drops what waits, too */
void handshake_io_free(struct handshake_io *io);

/* -- secrets.c: the key log, kept for as long as a handshake lasts ------------------------------------------ */

struct handshake_secrets {
  uint8_t client[ARENA_SECRET_MAX], server[ARENA_SECRET_MAX]; /* application traffic secrets 0 */
  uint8_t client_handshake[ARENA_SECRET_MAX];
  uint8_t client_len, server_len, client_handshake_len; /* 0: not known (yet) */
};
void handshake_secrets_line(struct handshake_secrets *s, const char *line);

/* -- one handshake --------------------------------------------------------------------------------------------- */

/* What we think of the peer. It starts as "not judged", and only the two that say so let it pass. */
enum handshake_verdict { VERDICT_NONE = 0, VERDICT_REFUSED, VERDICT_ALLOWED, VERDICT_WOULD_DENY };

/* -- resume.c: tickets between svidwrap peers (docs/ARCHITECTURE.md, "Resumption") ---------------------------------
 */

struct handshake_resume {
  bool on;        /* the rule wants it, both ends willing */
  unsigned want;  /* client: how many tickets to ask for */
  unsigned said;  /* by the peer: client wants, server will give */
  unsigned tries; /* server: tickets that were looked at */
  bool offered, collecting;
  struct ticket_place place;  /* client: where they are good */
  struct ticket_state *state; /* client: what it offers; server: what the ticket said */
  uint8_t *ticket;            /* client: what it offers */
  size_t ticket_len;
};

struct handshake_worker;

struct handshake {
  uint64_t id;
  struct handshake_worker *worker;
  LIST_ENTRY(handshake) by_id;      /* under the worker's lock */
  STAILQ_ENTRY(handshake) fresh;    /* begun, not yet taken up by the worker; under its lock */
  TAILQ_ENTRY(handshake) to_cancel; /* under its lock */
  bool is_fresh, is_cancelled;      /* under its lock */

  struct handshake_request request;
  struct event readiness, deadline;
  bool started, dialing, finished;
  uint8_t rx_records, tx_records; /* as in the result */
  uint64_t begun_us;              /* CLOCK_MONOTONIC, when the socket was connected; 0: not yet */

  SSL *ssl; /* made when there is something to do with it: an idle stranger costs a few KB */
  struct handshake_io io;
  struct identity_watch watch;
  struct handshake_secrets secrets;

  enum handshake_verdict verdict;
  enum handshake_outcome refusal; /* when refused: as what */
  int alert;                      /* and what to tell the peer */
  struct spiffeid peer;
  struct identity_span span; /* in which what we found of it holds */
  struct handshake_resume resume;
  char reason[256];
};

/* one.c; on the worker's thread. begin and cancel may end it: h is then dead. */
void handshake_one_begin(struct handshake *h, struct event_base *base);
void handshake_one_cancel(struct handshake *h);
void handshake_one_free(struct handshake *h); /* wipes */
/* pool.c: takes h out of its worker's table. */
void handshake_pool_forget(struct handshake *h);

/* judge.c: identity_watch.peer */
int handshake_judge(void *handshake, X509 *leaf, STACK_OF(X509) * chain);
/* The policy's word on a peer whose identity stands; a reason unless it is allowed. */
enum handshake_verdict handshake_policy(const struct handshake *h, const struct spiffeid *peer, char *reason,
                                        size_t len);

/* Before the first message: looks for a ticket, sets the watch up. */
void handshake_resume_begin(struct handshake *h);
/* A resumed handshake is through: the peer is judged as if it had shown its certificate now. NULL, or why it does not
 * stand. */
const char *handshake_resume_adopt(struct handshake *h);
/* Server, a full handshake is through and the peer let in: appends its tickets to what is to be sent, which makes
 * one record. The number of records. */
uint8_t handshake_resume_give(struct handshake *h, uint16_t cipher);
/* Client, a full handshake is through: will tickets come that are worth waiting for? */
bool handshake_resume_expects(struct handshake *h);
/* Takes them off the socket if they are there. 1: taken, 0: not whole yet, -1: there is something else, or nothing
 * will come. */
int handshake_resume_collect(struct handshake *h, uint16_t cipher, bool *partial);
/* It failed, whatever the reason: what was offered is not offered again. */
void handshake_resume_failed(struct handshake *h);
void handshake_resume_end(struct handshake *h); /* wipes */
/* What both ends know when a full handshake is through: n secrets, one behind the other, and all but the secret of
 * *s. false: there is nothing to resume. */
bool handshake_resume_state(const struct handshake *h, uint16_t cipher, unsigned n, struct ticket_state *s,
                            uint8_t *psks);

/* tickets.c */
struct handshake_ticket {
  uint32_t lifetime; /* seconds */
  const uint8_t *ticket;
  size_t len;
};
/* NewSessionTicket messages and nothing else: how many, or -1. */
int handshake_tickets_parse(const uint8_t *in, size_t n, struct handshake_ticket *out, unsigned max);

/* hello.c: what a client's first message says beside TLS itself: server name and protocols. false: out of memory */
bool handshake_hello(struct handshake *h);
/* The server name to send, "" if none. */
void handshake_server_name(const struct handshake *h, char name[256]);

/* alert.c: a fatal alert of our choice, sealed as the record the peer expects next. Best effort. */
void handshake_alert_send(struct handshake *h, uint16_t cipher);

/* failure.c: why SSL_do_handshake() failed. ssl_error as from SSL_get_error(); looks at OpenSSL's error queue. */
enum handshake_outcome handshake_failure(struct handshake *h, int ssl_error, char *reason, size_t len);

#endif
