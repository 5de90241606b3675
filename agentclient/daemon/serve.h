/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve.h - the daemon's inbound interface: (TCP listener, backlog) -> authenticated connections, and plaintext ones
 * where the rule's mode lets them through.
 *
 * Knows nothing of the shim or of its messages: what comes out is handed to a callback, which may put it into
 * a program, a relay or a test. Control thread only; reference counting is internal.
 *
 * How much is taken from the kernel: nothing while as many connections as the backlog wait to be taken by the
 * program; nothing while waiting and young handshakes together reach max(backlog, 64); handshakes that stall
 * do not count there, but there are at most SERVE_STALLED_MAX of them, and the oldest gives way. Nor do peers of a
 * permissive rule that have not said yet what they speak; they count as stalled ones do, from the beginning.
 *
 * The mode is asked for when a connection is accepted, and again when what was waited for is there (the first bytes,
 * an identity): it may change in between, and what is in force then decides. A connection is delivered in plaintext
 * only in the same breath in which the mode allowed it.
 */
#ifndef DAEMON_SERVE_H
#define DAEMON_SERVE_H

#include "../handshake/handshake.h"
#include "parting.h"
#include "post.h"
#include "session.h"
#include "unblock.h"

#include <sys/socket.h>

#define SERVE_STALLED_MAX    1024u
#define SERVE_HANDSHAKES_MAX 4096u
#define SERVE_OWN_MIN        64u

/* What all listeners of a process share. */
struct serve_shared {
  struct event_base *base;
  struct post *post;
  struct handshake_pool *pool;
  struct parting *parting;
  struct unblock *unblock;
  unsigned handshaking; /* of all listeners; at SERVE_HANDSHAKES_MAX who has SERVE_OWN_MIN pauses */
  int fd_ceiling;       /* an accepted number at or above it means: nearly out of descriptors, pause */
};

enum serve_ready {
  SERVE_GO,
  SERVE_WAIT,   /* no identity yet: leave them in the kernel's backlog until serve_kick() */
  SERVE_REFUSE, /* there is none and none is to be expected: accept and close */
};

struct serve_credentials {
  enum rules_mode mode;      /* RULES_OFF, _PERMISSIVE or _ENFORCE; the ones below are for those who speak TLS */
  uint32_t detect_ms;        /* permissive: how long a peer may stay silent */
  bool draining;             /* off, and a moment ago it was not: clients that began to speak TLS are still met */
  struct identity *identity; /* valid until the callback's caller returns to the loop */
  const struct identity_svid *svid;
  struct policy *policy;
  uint32_t rule;
  struct session *speaker; /* whose identity and policy these are */
  uint32_t timeout_ms;
  char reason[256]; /* for SERVE_REFUSE */
};

/* An authenticated connection, or one in plaintext, owned by whoever was given it. SO_LINGER {1,0} is set: closing it
 * resets. */
struct serve_conn {
  int fd;
  bool plain; /* let through in plaintext; result.reason says why, the rest of result is that of no handshake */
  struct sockaddr_storage local, remote;
  socklen_t local_len, remote_len;
  struct policy *policy; /* that it was judged by (referenced), and its rule */
  uint32_t rule;
  struct session *speaker; /* in whose name (referenced): another one may speak for the listener by now */
  struct handshake_result result;
};
/* Closes what is left open and cleanses. */
void serve_conn_free(struct serve_conn *c);

struct serve_ops {
  /* Whatever it answers, the mode is set; it starts as RULES_ENFORCE. */
  enum serve_ready (*credentials)(void *arg, struct serve_credentials *out);
  /* Permissive: is this peer plaintext whatever it says? */
  bool (*plain_at_once)(void *arg, const struct serve_conn *c);
  /* Takes c over. Counts as waiting until serve_taken(). */
  void (*deliver)(void *arg, struct serve_conn *c);
  /* A peer that was not let in; result->outcome and ->reason say why. */
  void (*refused)(void *arg, const struct serve_conn *c);
};

struct serve;
/* Takes fd over (on success); its file status flags stay as they are. NULL and errno. */
struct serve *serve_new(struct serve_shared *shared, int fd, int backlog, const struct serve_ops *ops, void *arg);
/* Closes the listener and ends its handshakes; no callback after it. */
void serve_close(struct serve *s);

int serve_fd(const struct serve *s);
void serve_backlog(struct serve *s, int backlog);
void serve_kick(struct serve *s);            /* something changed: identity, descriptors */
void serve_taken(struct serve *s);           /* one delivered connection waits no longer */
void serve_drop_handshakes(struct serve *s); /* the identity was withdrawn */
/* A connection that was delivered in plaintext comes back, for the program has not got it, and the mode does not
 * allow it any more: decided again. Takes c over; it does not count as waiting any longer. */
void serve_reconsider(struct serve *s, struct serve_conn *c);

struct serve_counts {
  uint64_t accepted, authenticated, plain, refused, evicted;
  unsigned handshaking, waiting; /* handshaking: those whose first bytes are waited for included */
};
void serve_counts(const struct serve *s, struct serve_counts *c);

#endif
