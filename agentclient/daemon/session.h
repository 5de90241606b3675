/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.h - one attested workload: its configuration, its identity, its arena.
 *
 * A session lives as long as its control socket is held by any process (forked children share it). With it go
 * the Workload API client, the key, and the arena unless a listener still delivers into it.
 */
#ifndef DAEMON_SESSION_H
#define DAEMON_SESSION_H

#include "config.h"
#include "control.h"
#include "slots.h"
#include "source.h"

struct worker;
struct session;

/* Somebody who waits for the session's identity. Called once, on the control thread: when the identity is there,
 * denied, or the wait is over (look at the source); or with gone set: the session has ended. */
struct session_wait {
  TAILQ_ENTRY(session_wait) link;
  struct session *session; /* NULL: not waiting */
  struct event timer;
  void (*fn)(struct session_wait *w, bool gone);
};
TAILQ_HEAD(session_waits, session_wait);
void session_wait_begin(struct session *s, struct session_wait *w, uint32_t ms,
                        void (*fn)(struct session_wait *w, bool gone));
void session_wait_end(struct session_wait *w); /* harmless when it does not wait */

struct attach;   /* listeners.h */
struct outbound; /* outbound.c */

struct session {
  unsigned refs;
  bool ended; /* only what log and audit lines need is left: config, pid, program */
  LIST_ENTRY(session) link;
  struct worker *worker;
  struct wire_token token;
  uid_t uid;
  gid_t gid;
  pid_t pid; /* of the process that said HELLO */
  int pidfd; /* of the same; -1 where the kernel has none */
  char program[256];
  uint32_t rings; /* WIRE_HELLO_RINGS: io_uring is within its reach */
  struct config *config;
  struct slots *slots;
  struct source *source;
  struct ctl *control;
  struct session_waits waits;
  LIST_HEAD(session_attaches, attach) attached;
  LIST_HEAD(session_outbounds, outbound) outbounds;
  bool announced;                         /* its identity was logged */
  int64_t agent_ask_ms, agent_backoff_ms; /* not before then a fresh agent connection is asked for */
  struct event agent_timer;
  int dial_errno;   /* of the last attempt to reach the agent */
  uint64_t missing; /* which rules' SVIDs were not served, when that was last said: a hash */
  uint64_t dialed, dial_failed;
};
LIST_HEAD(session_list, session);

/* HELLO. The control socket becomes c. NULL and errno. Takes over one reference of config. */
struct session *session_new(struct worker *w, struct ctl *c, struct config *config, const char *program,
                            size_t program_len);
/* By token, for a process of this uid. NULL: unknown. */
struct session *session_find(struct worker *w, const struct wire_token *token, uid_t uid);
void session_end(struct session *s);
/* Keeps an ended session's name and configuration. */
struct session *session_ref(struct session *s);
void session_unref(struct session *s);

/* The source of some sessions changed. */
void session_source_changed(void *worker, struct source *source);

/* May a fresh agent connection be asked for now? Each yes pushes the next one away, up to three seconds. */
bool session_ask_agent(struct session *s);
/* Has a program of the session, by a stand-in of its, dial the agent, if there is no connection to it. */
void session_seek_agent(struct session *s);
/* Dials the agent succeeded (0) or failed (errno). */
void session_agent_dialed(struct session *s, int err);

/* The SVID that a rule wants, if it can be used now. NULL and a text that names cause and cure. */
const struct identity_svid *session_svid(const struct session *s, uint32_t rule, char *why, size_t why_len);
/* The text for a program without identity. */
void session_no_identity(const struct session *s, char *text, size_t len);

#endif
