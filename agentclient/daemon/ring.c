/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.c - finds stand-ins in /proc/net/unix and sends each one message. Takes no connection and keeps none.
 */
#include "ring.h"
#include "clock.h"
#include "procunix.h"
#include "standin.h"
#include "wirecheck.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define AGAIN_MS  20
#define TRIES_MAX 3000 /* a minute */

struct bell {
  TAILQ_ENTRY(bell) link;
  char name[WIRE_NAME_LEN];
  unsigned found; /* at this try */
  bool rung;
};

struct ring {
  uid_t uid;
  ring_known_fn known;
  void *arg;
  unsigned tries;
  struct event timer;
  TAILQ_HEAD(bell_list, bell) bells;
};

static void found(const char *name, void *arg);

/* A reading of /proc misses entries while sockets come and go: it is read more than once. */
static bool look_again(unsigned tries) { return tries == 0 || tries == 1 || tries == 10 || tries == 50; }

static void ring_all(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  struct ring *r = arg;
  bool waiting = r->tries < 50;
  if (look_again(r->tries))
    procunix_each(found, r);
  struct bell *b;
  TAILQ_FOREACH(b, &r->bells, link) {
    /* One that turns up later may be on its way to register by itself: it is given until the next try. */
    if (b->rung || (b->found && b->found == r->tries))
      continue;
    if (r->known(r->arg, b->name)) {
      b->rung = true;
      continue;
    }
    /* Its backlog is full: it will accept, and then there is room. Anything else: it is gone, or not ours. */
    b->rung = standin_ring_once(b->name, r->uid, HANDOVER_REGISTER) == 0 || errno != EAGAIN;
    waiting = waiting || !b->rung;
  }
  if (!waiting || ++r->tries > TRIES_MAX)
    return;
  struct timeval tv = clock_timeval(AGAIN_MS);
  evtimer_add(&r->timer, &tv);
}

static void found(const char *name, void *arg) {
  struct ring *r = arg;
  char padded[WIRE_NAME_LEN] = "", tag[WIRE_TAG_LEN + 1];
  if (strlen(name) != WIRE_NAME_LEN - 1)
    return;
  /* Another instance's stand-ins are another daemon's to ring. */
  snprintf(tag, sizeof tag, "%08x", wire_instance_tag(getenv("SVIDWRAP_INSTANCE")));
  if (memcmp(name + sizeof WIRE_STANDIN_PREFIX - 1, tag, WIRE_TAG_LEN) != 0)
    return;
  memcpy(padded, name, WIRE_NAME_LEN - 1);
  struct bell *known;
  TAILQ_FOREACH(known, &r->bells, link)
  if (memcmp(known->name, padded, sizeof padded) == 0)
    return;
  struct bell *b = wire_name_valid(padded) ? calloc(1, sizeof *b) : NULL;
  if (!b)
    return;
  memcpy(b->name, padded, sizeof b->name);
  b->found = r->tries;
  TAILQ_INSERT_TAIL(&r->bells, b, link);
}

struct ring *ring_begin(struct event_base *base, uid_t uid, ring_known_fn known, void *arg) {
  struct ring *r = calloc(1, sizeof *r);
  if (!r)
    return NULL;
  /* Root's daemon has programs of every user. Who has a session with his own daemon does not listen to it. */
  r->uid = uid == 0 ? STANDIN_ANYBODY : uid;
  r->known = known;
  r->arg = arg;
  TAILQ_INIT(&r->bells);
  evtimer_assign(&r->timer, base, ring_all, r);
  ring_all(-1, 0, r);
  return r;
}

void ring_end(struct ring *r) {
  if (!r)
    return;
  evtimer_del(&r->timer);
  while (!TAILQ_EMPTY(&r->bells)) {
    struct bell *b = TAILQ_FIRST(&r->bells);
    TAILQ_REMOVE(&r->bells, b, link);
    free(b);
  }
  free(r);
}
