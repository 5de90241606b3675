/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listeners.h - managed TCP listeners: registration, adoption, signs of life, and where authenticated peers go.
 *
 * A listener is the daemon's copy of the TCP listener plus the name of a stand-in. It lives while somebody holds
 * the stand-in: told by life sockets, decided by /proc/net/unix.
 */
#ifndef DAEMON_LISTENERS_H
#define DAEMON_LISTENERS_H

#include "control.h"
#include "serve.h"
#include "session.h"
#include "slots.h"
#include "standin.h"

struct listener;

/* A session that speaks for a listener, through a life socket. */
struct attach {
  LIST_ENTRY(attach) of_session;
  TAILQ_ENTRY(attach) of_listener; /* oldest first */
  struct listener *listener;
  struct session *session; /* NULL: it ended, but the life socket is still held */
  struct ctl *life;
  uint32_t rule; /* of the session's policy */
  bool lost;     /* a new policy covers the listener no more */
};

struct listener {
  LIST_ENTRY(listener) link;
  struct worker *worker;
  char name[WIRE_NAME_LEN];
  uid_t uid;
  struct sockaddr_storage local;
  socklen_t local_len;
  uint64_t cookie; /* SO_COOKIE of the TCP listener */
  struct serve *serve;
  struct standin *standin;
  struct slots *slots;
  struct session *speaker; /* who spoke last; referenced, perhaps ended: for audit lines */
  TAILQ_HEAD(attaches, attach) attached;
  struct event poll; /* nobody's life socket is left: is the stand-in still there? */
  int64_t poll_ms;
  struct event late;    /* peers have waited for an identity for long enough */
  bool waiting, waited; /* `late` is armed; `late` has fired and nothing has come since */
  enum rules_mode mode; /* as it was last asked for; off in the beginning */
  int64_t drain_ms;     /* until then a listener that was turned off meets clients that speak TLS */
};
LIST_HEAD(listener_list, listener);

/* Handlers of the messages of that name. */
void listeners_listen(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]);
void listeners_adopt(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]);
void listeners_unlisten(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]);
void listeners_sync(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]);

/* The session ends: it speaks for no listener any more. */
void listeners_session_ended(struct session *s);
/* A configuration has another policy: its listeners are matched again. */
void listeners_policy_changed(struct worker *w, const struct config *c);
/* Its identity came, changed or was taken away. */
void listeners_identity_changed(struct session *s, bool denied);
/* Rings the session's programs for a fresh agent connection. false: it has no stand-in. */
bool listeners_ring_agent(struct session *s);

/* Rings the session's programs to shut the connections down that were revoked. */
void listeners_ring_sweep(struct session *s);

/* The arena of a listener or session that has this id, for somebody of the same uid or who speaks for the listener.
 * NULL: unknown. */
struct slots *listeners_arena(struct worker *w, uint64_t arena_id, const struct session *asker);

void listener_close(struct listener *l);

#endif
