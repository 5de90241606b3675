/* SPDX-License-Identifier: Apache-2.0 */
/*
 * standin.c - connects to stand-ins and hands TCP sockets over. Never decides who may talk; never loses a
 * socket while somebody can still take it.
 */
#include "standin.h"
#include "clock.h"
#include "message.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/un.h>
#include <unistd.h>

#define FULL_MS     5 /* the stand-in's backlog is full: look again after this, growing */
#define FULL_MAX_MS 100
#define PARK_MS     25
#define PARK_MAX_MS 250
#define UIDS_MAX    4 /* users whom a listener went on to: the newest */
#define UNREAD_MAX  8 /* accepted and closed unread so often: nobody there can read it */

/* One connection to the stand-in: an offer (conn set) or a ring. */
struct offer {
  TAILQ_ENTRY(offer) link;
  struct standin *standin;
  struct serve_conn *conn;
  struct slots *slots;
  struct slots_ticket ticket;
  struct wire_handover message;
  int fd; /* -1: waits in the queue; else connected */
  bool sent;
  unsigned unread;
  int64_t not_before; /* offer again no sooner */
  int64_t park_ms;
  struct event event; /* on fd */
};
TAILQ_HEAD(offers, offer);

struct standin {
  struct event_base *base;
  struct standin_ops ops;
  void *arg;
  char name[WIRE_NAME_LEN];
  uid_t uid[UIDS_MAX];
  unsigned uids;
  bool root_may;
  struct offers queue, placed;
  unsigned count;
  int64_t full_ms;
  struct event timer;
};

static void standin_pump(struct standin *s);

/* A connection to a stand-in, and who listens there. -1 and errno: ECONNREFUSED nobody does, EAGAIN its backlog is
 * full. */
static int dial(const char *name, uid_t *uid) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  memcpy(un.sun_path + 1, name, WIRE_NAME_LEN - 1);
  socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + WIRE_NAME_LEN);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return -1;
  struct ucred cred;
  socklen_t cred_len = sizeof cred;
  int err = 0;
  if (connect(fd, (struct sockaddr *)&un, len) != 0)
    err = errno;
  else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_len) != 0)
    err = errno;
  if (err == 0) {
    *uid = cred.uid;
    return fd;
  }
  close(fd);
  errno = err;
  return -1;
}

static bool owns(const struct standin *s, uid_t uid) {
  for (unsigned i = 0; i < s->uids; i++)
    if (s->uid[i] == uid)
      return true;
  return s->root_may && uid == 0;
}

/* dial(), and EPERM where somebody else listens. */
static int standin_connect(const struct standin *s) {
  uid_t uid;
  int fd = dial(s->name, &uid);
  if (fd < 0 || owns(s, uid))
    return fd;
  close(fd);
  errno = EPERM;
  return -1;
}

/* Ends an offer. taken: the slot belongs to the program now. */
static void offer_free(struct offer *o, bool taken) {
  struct standin *s = o->standin;
  TAILQ_REMOVE(o->fd < 0 ? &s->queue : &s->placed, o, link);
  if (o->fd >= 0) {
    event_del(&o->event);
    close(o->fd);
  }
  if (o->slots) {
    if (taken)
      slots_delivered(o->slots, o->ticket);
    else
      slots_abandon(o->slots, o->ticket);
    slots_unref(o->slots);
  }
  if (o->conn)
    s->count--;
  serve_conn_free(o->conn);
  free(o);
}

/* Back into the queue, to be offered again after ms. Rings are not worth it. */
static void offer_again(struct offer *o, int64_t ms) {
  struct standin *s = o->standin;
  if (!o->conn) {
    offer_free(o, false);
    return;
  }
  event_del(&o->event);
  close(o->fd);
  o->fd = -1;
  o->sent = false;
  o->not_before = clock_ms() + ms;
  TAILQ_REMOVE(&s->placed, o, link);
  TAILQ_INSERT_TAIL(&s->queue, o, link);
}

/* In plaintext, and the rules have changed: true, and the offer is no more. */
static bool offer_withdrawn(struct offer *o) {
  struct standin *s = o->standin;
  if (!o->conn || !o->conn->plain || !s->ops.withdrawn(s->arg, o->conn))
    return false;
  o->conn = NULL;
  s->count--;
  offer_free(o, false);
  return true;
}

static void offer_send(struct offer *o) {
  struct timeval soon = clock_timeval(FULL_MS);
  if (message_send(o->fd, &o->message, sizeof o->message, o->conn ? &o->conn->fd : NULL, o->conn ? 1 : 0) == 0) {
    o->sent = true;
    event_add(&o->event, NULL);
  } else if (message_passes(errno)) {
    event_add(&o->event, &soon);
  } else {
    offer_again(o, FULL_MS); /* EPIPE: accepted and closed before the message was there */
  }
}

/* The program did something with its end. */
static void offer_answered(struct offer *o) {
  struct standin *s = o->standin;
  char byte;
  ssize_t n = recv(o->fd, &byte, 1, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
    event_add(&o->event, NULL);
    return;
  }
  if (n == 0 && o->sent) {
    bool counts = o->conn != NULL;
    if (counts && o->conn->plain)
      s->ops.taken_plain(s->arg, o->conn);
    offer_free(o, true);
    if (counts)
      s->ops.taken(s->arg);
  } else if (n > 0 && byte == HANDOVER_PARK) {
    o->park_ms = o->park_ms ? o->park_ms * 2 : PARK_MS;
    if (o->park_ms > PARK_MAX_MS)
      o->park_ms = PARK_MAX_MS;
    offer_again(o, o->park_ms);
  } else if (++o->unread >= UNREAD_MAX) {
    bool counts = o->conn != NULL;
    offer_free(o, false);
    if (counts)
      s->ops.taken(s->arg);
  } else {
    /* Closed unread. Its listener may be gone (the next connect says so, and the peer is reset), or the acceptor
     * gave up waiting in the very moment the message came. */
    offer_again(o, FULL_MS);
  }
}

static void offer_event(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  struct offer *o = arg;
  struct standin *s = o->standin;
  if (what & EV_READ)
    offer_answered(o);
  else if (!offer_withdrawn(o))
    offer_send(o);
  standin_pump(s);
}

static void standin_wait(struct standin *s, int64_t ms) {
  struct timeval tv = clock_timeval(ms);
  evtimer_add(&s->timer, &tv);
}

static void offer_place(struct offer *o, int fd) {
  struct standin *s = o->standin;
  TAILQ_REMOVE(&s->queue, o, link);
  TAILQ_INSERT_TAIL(&s->placed, o, link);
  o->fd = fd;
  event_assign(&o->event, s->base, fd, EV_READ, offer_event, o);
  offer_send(o);
}

/* connect() to the stand-in said no. May free s. */
static void standin_refused(struct standin *s, int err) {
  if (err == ECONNREFUSED || err == EPERM) {
    standin_wait(s, PARK_MAX_MS);
    s->ops.gone(s->arg, err == EPERM);
    return;
  }
  s->full_ms = s->full_ms ? s->full_ms * 2 : FULL_MS;
  if (s->full_ms > FULL_MAX_MS)
    s->full_ms = FULL_MAX_MS;
  standin_wait(s, s->full_ms);
}

static void standin_pump(struct standin *s) {
  int64_t now = clock_ms(), due = -1;
  struct offer *next;
  for (struct offer *o = TAILQ_FIRST(&s->queue); o; o = next) {
    next = TAILQ_NEXT(o, link);
    if (o->not_before > now || offer_withdrawn(o))
      continue;
    int fd = standin_connect(s);
    if (fd < 0) {
      standin_refused(s, errno);
      return;
    }
    s->full_ms = 0;
    offer_place(o, fd);
  }
  /* Looked for afterwards: one that could not be sent is back at the end of the queue. */
  struct offer *o;
  TAILQ_FOREACH(o, &s->queue, link)
  if (due < 0 || o->not_before < due)
    due = o->not_before;
  if (due >= 0)
    standin_wait(s, due - now);
}

static void standin_timer(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  standin_pump(arg);
}

struct standin *standin_new(struct event_base *base, const char *name, uid_t uid, bool root_may,
                            const struct standin_ops *ops, void *arg) {
  struct standin *s = calloc(1, sizeof *s);
  if (!s)
    return NULL;
  s->base = base;
  s->ops = *ops;
  s->arg = arg;
  memcpy(s->name, name, sizeof s->name);
  s->uid[0] = uid;
  s->uids = 1;
  s->root_may = root_may;
  TAILQ_INIT(&s->queue);
  TAILQ_INIT(&s->placed);
  evtimer_assign(&s->timer, base, standin_timer, s);
  return s;
}

void standin_allow(struct standin *s, uid_t uid) {
  for (unsigned i = 0; i < s->uids; i++)
    if (s->uid[i] == uid)
      return;
  if (s->uids == UIDS_MAX)
    memmove(s->uid, s->uid + 1, --s->uids * sizeof s->uid[0]);
  s->uid[s->uids++] = uid;
}

void standin_free(struct standin *s) {
  if (!s)
    return;
  evtimer_del(&s->timer);
  while (!TAILQ_EMPTY(&s->queue))
    offer_free(TAILQ_FIRST(&s->queue), false);
  /* What was sent but not taken: with our copy goes the peer's connection, unless the program reads the message
   * after all; the slot stays for it, and is reclaimed when nobody does. */
  while (!TAILQ_EMPTY(&s->placed))
    offer_free(TAILQ_FIRST(&s->placed), TAILQ_FIRST(&s->placed)->sent);
  free(s);
}

static void handover_fill(struct wire_handover *m, enum wire_handover_kind kind) {
  memset(m, 0, sizeof *m);
  message_header(&m->hdr, WIRE_HANDOVER, sizeof *m);
  m->kind = kind;
}

static struct offer *offer_new(struct standin *s, enum wire_handover_kind kind) {
  struct offer *o = calloc(1, sizeof *o);
  if (!o)
    return NULL;
  o->standin = s;
  o->fd = -1;
  handover_fill(&o->message, kind);
  TAILQ_INSERT_TAIL(&s->queue, o, link);
  return o;
}

/* Takes c over. NULL: out of memory, and the peer has been reset. */
static struct offer *offer_conn(struct standin *s, enum wire_handover_kind kind, struct serve_conn *c) {
  struct offer *o = offer_new(s, kind);
  if (!o) {
    serve_conn_free(c);
    s->ops.taken(s->arg);
    return NULL;
  }
  o->conn = c;
  o->message.peer = c->remote;
  o->message.peer_len = c->remote_len;
  s->count++;
  standin_wait(s, 0); /* from the loop: the owner may be in the middle of something */
  return o;
}

void standin_offer(struct standin *s, struct serve_conn *c, struct slots *a, struct slots_ticket t) {
  struct offer *o = offer_conn(s, HANDOVER_CONN, c);
  if (!o) {
    slots_abandon(a, t);
    return;
  }
  o->slots = slots_ref(a);
  o->ticket = t;
  o->message.slot = t.slot;
  o->message.slot_use = t.use;
  o->message.arena_id = slots_id(a);
}

void standin_offer_plain(struct standin *s, struct serve_conn *c) { offer_conn(s, HANDOVER_PLAIN, c); }

void standin_ring(struct standin *s, enum wire_handover_kind kind) {
  struct offer *o;
  TAILQ_FOREACH(o, &s->queue, link)
  if (!o->conn && o->message.kind == (uint32_t)kind)
    return;
  TAILQ_FOREACH(o, &s->placed, link)
  if (!o->conn && o->message.kind == (uint32_t)kind)
    return;
  if (offer_new(s, kind))
    standin_wait(s, 0);
}

int standin_ring_once(const char *name, uid_t uid, enum wire_handover_kind kind) {
  struct wire_handover m;
  handover_fill(&m, kind);
  uid_t owner;
  int fd = dial(name, &owner), result = -1;
  if (fd < 0)
    return -1;
  /* What is in the stand-in's queue stays readable after our close. */
  if (uid == STANDIN_ANYBODY || uid == owner)
    result = message_send(fd, &m, sizeof m, NULL, 0);
  else
    errno = EPERM;
  int failed = errno;
  close(fd);
  errno = failed;
  return result;
}

unsigned standin_waiting(const struct standin *s) { return s->count; }
