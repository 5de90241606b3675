/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live.h - what the daemon knows of every connection that it has let through: who talks to whom under which rule, and
 * how to find its socket again. In the daemon's own memory; the arena belongs to the program, and so does the TCP
 * socket: no descriptor of it is kept.
 *
 * A record goes when the program has released the slot, or when the kernel says that nobody holds the socket any
 * more.
 */
#ifndef DAEMON_LIVE_H
#define DAEMON_LIVE_H

#include "config.h"
#include "diag.h"
#include "limits.h"
#include "session.h"
#include "slots.h"

#include <netinet/in.h>
#include <sys/queue.h>

struct worker;

struct live {
  TAILQ_ENTRY(live) link;  /* of the worker; looked at in turn */
  TAILQ_ENTRY(live) dying; /* when revoked: until its socket is shut */
  struct worker *worker;
  struct session *session; /* whose identity and policy it goes by; referenced, perhaps ended */
  struct slots *slots;     /* referenced; NULL: plaintext, or the relay has it */
  struct slots_ticket ticket;
  bool inbound, plain;
  uint32_t rule;             /* of the session's present policy; UINT32_MAX: no rule covers it any more */
  struct sockaddr_in6 match; /* by which its rule is found: the listener's address, the destination as given */
  struct rules_hosts *hosts; /* the names that led there; NULL: none */
  struct diag_id id;
  unsigned long inode;
  char *peer, *self; /* SPIFFE IDs; "" in plaintext */
  struct limits_hold hold;
  int64_t opened_ms;
  bool seen;                    /* the kernel knew the socket when we asked */
  unsigned missed;              /* and did not, so often in a row since */
  const char *revoked;          /* why it has to end; NULL: it does not */
  bool queued, severing, freed; /* among the dying; a thread is at it; freed meanwhile */
  unsigned tries;
  int64_t next_ms;
};
TAILQ_HEAD(live_list, live);

struct live_new {
  struct session *session;
  bool inbound;
  uint32_t rule;
  int fd;                           /* the TCP socket; not kept */
  const struct diag_socket *socket; /* in its place, where we never had it; NULL: fd */
  const struct sockaddr *match;
  socklen_t match_len;
  const struct rules_hosts *hosts; /* or NULL */
  struct slots *slots;             /* NULL: plaintext */
  struct slots_ticket ticket;
  const struct handshake_result *result; /* NULL: plaintext */
  struct limits_hold hold;               /* of live_admit(); taken over on success */
};
/* Do the rule's limits let one more of this peer's in? false, and which one does not. */
bool live_admit(struct worker *w, const struct config *c, const struct policy_rule *rule, const char *peer,
                struct slots *slots, struct limits_hold *hold, char *why, size_t why_len);
/* Before the connection is handed over. 0, or -1: out of memory; then it must not be. */
int live_add(struct worker *w, const struct live_new *n);

/* Has it to end? (What the slot says is the program's.) */
bool live_revoked(const struct slots *a, struct slots_ticket t);
/* The relay has the connection of this slot now: the record goes with the socket and not with the slot. */
void live_relayed(const struct slots *a, struct slots_ticket t);

/* The arena of a slot, for a process of another user: it has inherited the connection if it names the slot and shows
 * its very socket. NULL: it does not. Borrowed. */
struct slots *live_slots(const struct worker *w, uint64_t arena_id, struct slots_ticket t, int socket);

/* Does somebody hold the socket this very moment? false also where the kernel cannot show it to us. */
bool live_open(const struct worker *w, const struct live *l);
/* A connection that the program made itself, in plaintext, as it tells. Believed if the socket is its user's. */
void live_told(struct worker *w, struct session *s, const struct wire_plain *m, uint32_t rule);

/* Now and then: forgets what is over, a bounded number at a time. */
void live_sweep(struct worker *w);
void live_free_all(struct worker *w);

/* The configuration has another policy: every connection is matched and judged again (on_policy_change). */
void live_policy_changed(struct worker *w, const struct config *c);
/* The agent took the session's identity away, or serves it no longer under some ID (on_revoke). */
void live_identity_changed(struct session *s, bool denied);

/* Is this still an ID of the session's? true also where that cannot be said any more. */
bool live_serves(const struct session *s, const char *id);

/* The record of a connection by its addresses, for a message of the program about it. NULL: none. */
const struct live *live_find(const struct worker *w, const struct session *s, const struct sockaddr *local,
                             const struct sockaddr *remote);

#endif
