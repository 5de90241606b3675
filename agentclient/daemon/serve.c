/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve.c - accepts TCP connections, has them authenticated, hands them on. Never blocks, never loses a
 * connection for want of a resource: what cannot be taken yet stays in the kernel's backlog.
 */
#include "serve.h"
#include "clock.h"
#include "detect.h"
#include "flight.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#define YOUNG_MS   1000 /* a handshake is young for this long; a good peer needs a few ms */
#define EVICT_MS   2500 /* and may have to give way to others after this */
#define YOUNG_MIN  64u
#define BATCH      16 /* accepts in one go, so that one listener does not starve the rest */
#define PAUSE_MS   50
#define SUSPECT_MS 1000 /* somebody else accepts here and made us wait */

/* A connection on its way: its first bytes are waited for, or an identity (held), or its handshake is under way. */
struct inbound {
  TAILQ_ENTRY(inbound) link; /* oldest first */
  struct serve *serve;
  struct flight *flight;
  struct detect *detect;
  enum detect_verdict verdict; /* DETECT_TLS where nobody had to look */
  bool held;
  int64_t begun_ms;
  struct serve_conn *conn;
  bool old;     /* not, or no longer, counted as young */
  bool dropped; /* its identity was withdrawn: it does not succeed any more, even if it has by now */
};

struct serve {
  unsigned refs; /* the owner, and every handshake */
  struct serve_shared *shared;
  struct serve_ops ops;
  void *arg;
  int fd; /* -1: closed */
  unsigned backlog, waiting, young, handshaking;
  TAILQ_HEAD(inbound_list, inbound) list, held;
  struct event readable, timer;
  struct serve_counts counts;
};

static void serve_pump(struct serve *s);
static void evict(struct inbound *i);

void serve_conn_free(struct serve_conn *c) {
  if (!c)
    return;
  if (c->fd >= 0)
    close(c->fd);
  policy_unref(c->policy);
  session_unref(c->speaker);
  OPENSSL_cleanse(c, sizeof *c);
  free(c);
}

static void serve_unref(struct serve *s) {
  if (--s->refs == 0)
    free(s);
}

static unsigned somaxconn(void) {
  unsigned n = 4096;
  FILE *f = fopen("/proc/sys/net/core/somaxconn", "re");
  if (f) {
    if (fscanf(f, "%u", &n) != 1)
      n = 4096;
    fclose(f);
  }
  return n ? n : 1;
}

/* As the kernel reads it: negative is "as many as may be". */
static unsigned clamp_backlog(int backlog) {
  unsigned max = somaxconn();
  if (backlog < 0 || (unsigned)backlog > max)
    return max;
  return backlog ? (unsigned)backlog : 1;
}

/* Moves the line between young and old. */
static void age(struct serve *s) {
  int64_t now = clock_ms();
  struct inbound *i;
  TAILQ_FOREACH(i, &s->list, link) {
    if (now - i->begun_ms < YOUNG_MS)
      break;
    if (!i->old) {
      i->old = true;
      s->young--;
    }
  }
}

static void set_timer(struct serve *s, int64_t ms) {
  struct timeval tv = clock_timeval(ms);
  evtimer_add(&s->timer, &tv);
}

static bool may_accept(struct serve *s) {
  if (s->waiting >= s->backlog)
    return false; /* serve_taken() goes on */
  age(s);
  unsigned limit = s->backlog > YOUNG_MIN ? s->backlog : YOUNG_MIN;
  if (s->waiting + s->young >= limit) {
    set_timer(s, PAUSE_MS);
    return false;
  }
  /* A few of its own are every listener's, or strangers who stall at others would keep its peers out. */
  bool room = s->shared->handshaking < SERVE_HANDSHAKES_MAX || s->handshaking < SERVE_OWN_MIN;
  if (s->handshaking < SERVE_STALLED_MAX && room)
    return true;
  struct inbound *oldest = TAILQ_FIRST(&s->list);
  if (!oldest || clock_ms() - oldest->begun_ms < EVICT_MS)
    oldest = TAILQ_FIRST(&s->held);
  if (oldest && clock_ms() - oldest->begun_ms >= EVICT_MS)
    evict(oldest);
  set_timer(s, PAUSE_MS);
  return false;
}

static void refuse(struct serve *s, struct serve_conn *c, enum handshake_outcome outcome, const char *why) {
  s->counts.refused++;
  c->result.outcome = outcome;
  snprintf(c->result.reason, sizeof c->result.reason, "%s", why);
  s->ops.refused(s->arg, c);
  serve_conn_free(c);
}

/* Takes c over; NULL: out of memory, and it has been refused. */
static struct inbound *inbound_new(struct serve *s, struct serve_conn *c) {
  struct inbound *i = calloc(1, sizeof *i);
  if (!i) {
    refuse(s, c, HANDSHAKE_INTERNAL, "out of memory");
    return NULL;
  }
  i->serve = s;
  i->begun_ms = clock_ms();
  i->conn = c;
  i->old = true;
  i->verdict = DETECT_TLS;
  s->refs++;
  s->handshaking++;
  s->shared->handshaking++;
  TAILQ_INSERT_TAIL(&s->list, i, link);
  return i;
}

/* The caller keeps the connection, and a reference of its own to the serve. */
static void inbound_drop(struct inbound *i) {
  struct serve *s = i->serve;
  TAILQ_REMOVE(i->held ? &s->held : &s->list, i, link);
  s->handshaking--;
  s->shared->handshaking--;
  if (!i->old)
    s->young--;
  if (i->detect)
    detect_end(i->detect);
  free(i);
  s->refs--;
}

static void landed(void *arg, struct handshake_result *result) {
  struct inbound *i = arg;
  struct serve *s = i->serve;
  struct serve_conn *c = i->conn;
  bool evicted = i->old && !i->dropped && result->outcome == HANDSHAKE_CANCELLED;
  if (i->dropped && result->outcome == HANDSHAKE_OK)
    result->outcome = HANDSHAKE_CANCELLED;
  if (i->dropped && result->outcome == HANDSHAKE_CANCELLED)
    snprintf(result->reason, sizeof result->reason, "the agent took our identity away during the handshake");
  s->refs++;
  inbound_drop(i);
  c->result = *result;
  if (s->fd < 0) {
    serve_conn_free(c); /* the listener is gone, and with it who would hear of the peer */
  } else if (result->outcome == HANDSHAKE_OK) {
    s->counts.authenticated++;
    s->waiting++;
    s->ops.deliver(s->arg, c);
  } else {
    s->counts.refused++;
    if (evicted)
      snprintf(c->result.reason, sizeof c->result.reason, "handshake stalled, gave way to others");
    s->ops.refused(s->arg, c);
    parting_close(s->shared->parting, c->fd);
    c->fd = -1;
    serve_conn_free(c);
  }
  serve_pump(s);
  serve_unref(s);
}

static void judge_by(struct serve_conn *c, const struct serve_credentials *cred) {
  policy_unref(c->policy);
  c->policy = cred->policy ? policy_ref(cred->policy) : NULL;
  session_unref(c->speaker);
  c->speaker = cred->speaker ? session_ref(cred->speaker) : NULL;
  c->rule = cred->rule;
}

static void shake(struct inbound *i, const struct serve_credentials *cred) {
  struct serve *s = i->serve;
  struct serve_conn *c = i->conn;
  struct handshake_request r = {.fd = c->fd,
                                .role = ARENA_SERVER,
                                .identity = cred->identity,
                                .svid = cred->svid,
                                .policy = cred->policy,
                                .rule = cred->rule,
                                .timeout_ms = cred->timeout_ms};
  i->flight = flight_begin(s->shared->post, s->shared->pool, &r, landed, i);
  if (!i->flight) {
    inbound_drop(i);
    refuse(s, c, HANDSHAKE_INTERNAL, "out of memory");
    return;
  }
  i->begun_ms = clock_ms();
  i->old = false;
  s->young++;
  TAILQ_REMOVE(i->held ? &s->held : &s->list, i, link);
  TAILQ_INSERT_TAIL(&s->list, i, link);
  i->held = false;
}

static void deliver_plain(struct serve *s, struct serve_conn *c, const char *why) {
  c->plain = true;
  c->result.outcome = HANDSHAKE_NOT_TLS; /* to whoever should not look at `plain` */
  snprintf(c->result.reason, sizeof c->result.reason, "%s", why);
  s->counts.plain++;
  s->waiting++;
  s->ops.deliver(s->arg, c);
}

static const char *plain_reason(enum detect_verdict v) {
  if (v == DETECT_SILENT)
    return "the peer said nothing within detect_timeout";
  return v == DETECT_ENDED ? "the peer closed its side without a byte" : "the peer speaks plaintext";
}

/* What there was to know of the peer is known. Ends i, or has its handshake made, or keeps it until there is an
 * identity. */
static void decide(struct inbound *i) {
  struct serve *s = i->serve;
  struct serve_conn *c = i->conn;
  struct serve_credentials cred = {.mode = RULES_ENFORCE};
  enum serve_ready ready = s->ops.credentials(s->arg, &cred);
  judge_by(c, &cred);
  if (i->verdict == DETECT_GONE) {
    inbound_drop(i);
    refuse(s, c, HANDSHAKE_PEER_CLOSED, "reset by the peer before its first byte");
  } else if (cred.mode != RULES_ENFORCE && i->verdict != DETECT_TLS) {
    enum detect_verdict v = i->verdict;
    inbound_drop(i);
    deliver_plain(s, c, plain_reason(v));
  } else if (ready == SERVE_GO) {
    shake(i, &cred);
  } else if (ready == SERVE_REFUSE) {
    inbound_drop(i);
    refuse(s, c, HANDSHAKE_INTERNAL, cred.reason);
  } else if (!i->held) {
    i->held = true;
    TAILQ_REMOVE(&s->list, i, link);
    TAILQ_INSERT_TAIL(&s->held, i, link);
  }
}

static void looked(void *arg, enum detect_verdict verdict) {
  struct inbound *i = arg;
  struct serve *s = i->serve;
  s->refs++;
  i->detect = NULL;
  i->verdict = verdict;
  decide(i);
  serve_pump(s);
  serve_unref(s);
}

/* Others need its place. Who is in a handshake comes back through landed(), which pumps. */
static void evict(struct inbound *i) {
  struct serve *s = i->serve;
  struct serve_conn *c = i->conn;
  s->counts.evicted++;
  if (i->flight) {
    flight_cancel(i->flight);
  } else if (i->detect) {
    i->verdict = detect_end(i->detect);
    i->detect = NULL;
    decide(i);
  } else {
    inbound_drop(i);
    refuse(s, c, HANDSHAKE_CANCELLED, "waited for our identity, gave way to others");
  }
}

/* Those who wait for an identity, or for somebody to speak for the listener. */
static void decide_held(struct serve *s) {
  struct inbound_list now;
  TAILQ_INIT(&now);
  TAILQ_CONCAT(&now, &s->held, link);
  for (struct inbound *i; s->fd >= 0 && (i = TAILQ_FIRST(&now));) {
    TAILQ_REMOVE(&now, i, link);
    TAILQ_INSERT_TAIL(&s->held, i, link);
    decide(i);
  }
  TAILQ_CONCAT(&s->held, &now, link);
}

/* A connection that has just been accepted, by the credentials of that moment. */
static void admit(struct serve *s, struct serve_conn *c, enum serve_ready ready,
                  const struct serve_credentials *cred) {
  bool at_once =
      cred->mode == RULES_OFF ? !cred->draining : cred->mode == RULES_PERMISSIVE && s->ops.plain_at_once(s->arg, c);
  if (at_once) {
    deliver_plain(s, c, cred->mode == RULES_OFF ? "mode: off" : "listed in plaintext_from");
    return;
  }
  if (cred->mode == RULES_ENFORCE && ready == SERVE_REFUSE) {
    refuse(s, c, HANDSHAKE_INTERNAL, cred->reason);
    return;
  }
  struct inbound *i = inbound_new(s, c);
  if (!i)
    return;
  if (cred->mode == RULES_ENFORCE) {
    shake(i, cred);
    return;
  }
  i->detect = detect_begin(s->shared->base, c->fd, cred->detect_ms, looked, i);
  if (!i->detect) {
    inbound_drop(i);
    refuse(s, c, HANDSHAKE_INTERNAL, "out of memory");
  }
}

/* One connection from the kernel. NULL: none now, or a pause is on. */
static struct serve_conn *accept_one(struct serve *s) {
  struct serve_conn *c = calloc(1, sizeof *c);
  if (!c) {
    set_timer(s, PAUSE_MS);
    return NULL;
  }
  c->remote_len = sizeof c->remote;
  c->fd = unblock_accept(s->shared->unblock, s->fd, (struct sockaddr *)&c->remote, &c->remote_len, SOCK_CLOEXEC);
  if (c->fd < 0) {
    int err = errno;
    serve_conn_free(c);
    if (err == ECONNABORTED || err == EPROTO || err == EAGAIN)
      event_add(&s->readable, NULL);
    else if (err == ETIMEDOUT)
      set_timer(s, SUSPECT_MS);
    else if (err != EINVAL)   /* EINVAL: shut down by the program; listen() again kicks */
      set_timer(s, PAUSE_MS); /* EMFILE, ENFILE, ENOBUFS, ENOMEM: they wait in the kernel */
    return NULL;
  }
  c->local_len = sizeof c->local;
  getsockname(c->fd, (struct sockaddr *)&c->local, &c->local_len);
  /* Until the program has it, closing it resets the peer, as closing a listener does to its backlog. */
  struct linger reset = {1, 0};
  setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  setsockopt(c->fd, SOL_SOCKET, SO_RCVLOWAT, &(int){1}, sizeof(int)); /* the listener's would hide a flight */
  setsockopt(c->fd, SOL_SOCKET, SO_PEEK_OFF, &(int){-1}, sizeof(int));
  return c;
}

static void serve_pump(struct serve *s) {
  if (s->fd >= 0)
    decide_held(s);
  for (int n = 0; s->fd >= 0; n++) {
    event_del(&s->readable);
    if (!may_accept(s))
      return;
    struct serve_credentials cred = {.mode = RULES_ENFORCE};
    enum serve_ready ready = s->ops.credentials(s->arg, &cred);
    if (s->fd < 0 || (ready == SERVE_WAIT && cred.mode == RULES_ENFORCE))
      return;
    if (n == BATCH) {
      event_add(&s->readable, NULL);
      return;
    }
    struct serve_conn *c = accept_one(s);
    if (!c)
      return;
    s->counts.accepted++;
    judge_by(c, &cred);
    bool tight = c->fd >= s->shared->fd_ceiling;
    admit(s, c, ready, &cred);
    if (tight) {
      set_timer(s, PAUSE_MS);
      return;
    }
  }
}

static void serve_event(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  struct serve *s = arg;
  s->refs++; /* a callback may close the listener */
  serve_pump(s);
  serve_unref(s);
}

struct serve *serve_new(struct serve_shared *shared, int fd, int backlog, const struct serve_ops *ops, void *arg) {
  struct serve *s = calloc(1, sizeof *s);
  if (!s)
    return NULL;
  s->refs = 1;
  s->shared = shared;
  s->ops = *ops;
  s->arg = arg;
  s->fd = fd;
  s->backlog = clamp_backlog(backlog);
  TAILQ_INIT(&s->list);
  TAILQ_INIT(&s->held);
  event_assign(&s->readable, shared->base, fd, EV_READ, serve_event, s);
  evtimer_assign(&s->timer, shared->base, serve_event, s);
  set_timer(s, 0); /* not from here: the caller has not finished setting itself up */
  return s;
}

void serve_drop_handshakes(struct serve *s) {
  struct inbound *i;
  TAILQ_FOREACH(i, &s->list, link)
  if (i->flight) {
    i->dropped = true;
    flight_cancel(i->flight);
  }
}

void serve_reconsider(struct serve *s, struct serve_conn *c) {
  c->plain = false;
  if (s->waiting)
    s->waiting--;
  struct inbound *i = inbound_new(s, c);
  if (i) {
    i->verdict = DETECT_OTHER; /* should it turn out to speak TLS after all, the handshake finds out */
    decide(i);
  }
  set_timer(s, 0);
}

/* Those of whom nobody would bring word: their peers are reset. */
static void drop_others(struct inbound_list *list) {
  struct inbound *next;
  for (struct inbound *i = TAILQ_FIRST(list); i; i = next) {
    next = TAILQ_NEXT(i, link);
    if (i->flight)
      continue;
    serve_conn_free(i->conn);
    inbound_drop(i);
  }
}

void serve_close(struct serve *s) {
  if (!s)
    return;
  event_del(&s->readable);
  evtimer_del(&s->timer);
  serve_drop_handshakes(s);
  drop_others(&s->list);
  drop_others(&s->held);
  close(s->fd);
  s->fd = -1;
  serve_unref(s);
}

int serve_fd(const struct serve *s) { return s->fd; }

void serve_backlog(struct serve *s, int backlog) {
  s->backlog = clamp_backlog(backlog);
  set_timer(s, 0);
}

void serve_kick(struct serve *s) { set_timer(s, 0); }

void serve_taken(struct serve *s) {
  if (s->waiting)
    s->waiting--;
  if (s->waiting + 1 >= s->backlog || !event_pending(&s->readable, EV_READ, NULL))
    set_timer(s, 0);
}

void serve_counts(const struct serve *s, struct serve_counts *c) {
  *c = s->counts;
  c->handshaking = s->handshaking;
  c->waiting = s->waiting;
}
