/* SPDX-License-Identifier: Apache-2.0 */
/*
 * purse.c - the tickets that a client was given, each for one use (RFC 8446 appendix C.4: a ticket that is seen twice
 * tells an onlooker that both connections are one client's).
 *
 * Of one generation of one identity, and wiped with it. Bounded in places and in tickets: what was not used for
 * longest goes first.
 */
#include "internal.h"
#include "ticket.h"

#include <netinet/in.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define PLACES        64u
#define TICKETS_MAX   2048u /* in all */
#define PLACE_MAX     (2u * TICKET_BATCH_MAX)
#define WANT_FIRST    4u
#define WANT_GROWS_BY 4u
#define WANT_GROWS_IN 60 /* seconds in which the last ones were used up */

/* Tickets of one full handshake: the state that they have in common, and a row of length, ticket, secret. */
struct batch {
  STAILQ_ENTRY(batch) link;
  struct ticket_state common;
  size_t size, at; /* of row; where the next one begins */
  unsigned left;
  uint8_t row[];
};

struct place {
  struct ticket_place name;
  uint64_t used; /* 0: free */
  unsigned want, count;
  time_t filled;
  STAILQ_HEAD(, batch) batches;
};

struct purse {
  pthread_mutex_t lock;
  uint64_t clock;
  unsigned count;
  struct place place[PLACES];
};

struct purse *purse_new(void) {
  struct purse *p = calloc(1, sizeof *p);
  if (p)
    pthread_mutex_init(&p->lock, NULL);
  return p;
}

static void batch_free(struct batch *b) {
  OPENSSL_cleanse(b, sizeof *b + b->size);
  free(b);
}

static void drop_first(struct purse *p, struct place *at) {
  struct batch *b = STAILQ_FIRST(&at->batches);
  STAILQ_REMOVE_HEAD(&at->batches, link);
  at->count -= b->left;
  p->count -= b->left;
  batch_free(b);
}

static void empty(struct purse *p, struct place *at) {
  while (at->used && !STAILQ_EMPTY(&at->batches))
    drop_first(p, at);
}

void purse_free(struct purse *p) {
  if (!p)
    return;
  for (size_t i = 0; i < PLACES; i++)
    empty(p, &p->place[i]);
  pthread_mutex_destroy(&p->lock);
  free(p);
}

/* ---- places ---------------------------------------------------------------------------------------------- */

int ticket_place_make(struct ticket_place *place, const struct sockaddr *peer, uint32_t rule, uint32_t svid,
                      const char *server_name) {
  struct {
    uint8_t addr[16];
    uint32_t scope, rule, svid;
    uint16_t port, family;
    char name[256];
  } key;
  memset(&key, 0, sizeof key); /* padding is hashed, too */
  key.rule = rule;
  key.svid = svid;
  key.family = peer->sa_family;
  if (peer->sa_family == AF_INET) {
    const struct sockaddr_in *in = (const void *)peer;
    memcpy(key.addr, &in->sin_addr, sizeof in->sin_addr);
    key.port = in->sin_port;
  } else if (peer->sa_family == AF_INET6) {
    const struct sockaddr_in6 *in6 = (const void *)peer;
    memcpy(key.addr, &in6->sin6_addr, sizeof in6->sin6_addr);
    key.port = in6->sin6_port;
    key.scope = in6->sin6_scope_id;
  } else
    return -1;
  size_t len = server_name ? strnlen(server_name, sizeof key.name) : 0;
  memcpy(key.name, server_name ? server_name : "", len);
  return EVP_Digest(&key, sizeof key, place->hash, NULL, EVP_sha256(), NULL) ? 0 : -1;
}

static struct place *find(struct purse *p, const struct ticket_place *name) {
  for (size_t i = 0; i < PLACES; i++)
    if (p->place[i].used && memcmp(&p->place[i].name, name, sizeof *name) == 0)
      return &p->place[i];
  return NULL;
}

static struct place *oldest(struct purse *p) {
  struct place *found = &p->place[0];
  for (size_t i = 1; i < PLACES; i++)
    if (p->place[i].used < found->used)
      found = &p->place[i];
  return found;
}

static struct place *find_or_make(struct purse *p, const struct ticket_place *name) {
  struct place *at = find(p, name);
  if (!at) {
    at = oldest(p);
    empty(p, at);
    memset(at, 0, sizeof *at);
    at->name = *name;
    at->want = WANT_FIRST;
    STAILQ_INIT(&at->batches);
  }
  at->used = ++p->clock;
  return at;
}

/* The place that was not used for longest and has any; never the one that is being filled. */
static bool make_room(struct purse *p, const struct place *but) {
  struct place *found = NULL;
  for (size_t i = 0; i < PLACES; i++) {
    struct place *at = &p->place[i];
    if (at != but && at->used && at->count && (!found || at->used < found->used))
      found = at;
  }
  if (found)
    empty(p, found);
  return found != NULL;
}

/* ---- in and out ------------------------------------------------------------------------------------------- */

static struct batch *batch_of(const struct ticket_state *common, const struct ticket_item *items, size_t n) {
  size_t size = 0;
  for (size_t i = 0; i < n; i++)
    size += 2 + items[i].len + common->psk_len;
  struct batch *b = malloc(sizeof *b + size);
  if (!b)
    return NULL;
  memset(b, 0, sizeof *b);
  b->common = *common;
  b->size = size;
  b->left = (unsigned)n;
  uint8_t *p = b->row;
  for (size_t i = 0; i < n; i++) {
    *p++ = (uint8_t)(items[i].len >> 8);
    *p++ = (uint8_t)items[i].len;
    memcpy(p, items[i].ticket, items[i].len);
    p += items[i].len;
    memcpy(p, items[i].psk, common->psk_len);
    p += common->psk_len;
  }
  return b;
}

void purse_put(struct identity *id, const struct ticket_place *place, const struct ticket_state *common,
               const struct ticket_item *items, size_t n) {
  struct purse *p = id->purse;
  if (n == 0 || n > TICKET_BATCH_MAX || common->psk_len > TICKET_PSK_MAX)
    return;
  for (size_t i = 0; i < n; i++)
    if (items[i].len == 0 || items[i].len > TICKET_MAX)
      return;
  struct batch *b = batch_of(common, items, n);
  if (!b)
    return;
  pthread_mutex_lock(&p->lock);
  struct place *at = find_or_make(p, place);
  bool room = at->count + n <= PLACE_MAX;
  while (room && p->count + n > TICKETS_MAX)
    room = make_room(p, at);
  if (room) {
    STAILQ_INSERT_TAIL(&at->batches, b, link);
    at->count += (unsigned)n;
    p->count += (unsigned)n;
    at->filled = time(NULL);
    b = NULL;
  }
  pthread_mutex_unlock(&p->lock);
  if (b)
    batch_free(b);
}

static size_t take(struct purse *p, struct place *at, time_t now, uint8_t *ticket, struct ticket_state *s) {
  struct batch *b;
  while ((b = STAILQ_FIRST(&at->batches)) && (now < b->common.from || now >= b->common.until))
    drop_first(p, at);
  if (!b)
    return 0;
  uint8_t *row = b->row + b->at;
  size_t len = (size_t)row[0] << 8 | row[1];
  memcpy(ticket, row + 2, len);
  *s = b->common;
  memcpy(s->psk, row + 2 + len, s->psk_len);
  OPENSSL_cleanse(row + 2 + len, s->psk_len);
  b->at += 2 + len + s->psk_len;
  at->count--;
  p->count--;
  if (--b->left == 0)
    drop_first(p, at);
  return len;
}

size_t purse_take(struct identity *id, const struct ticket_place *place, time_t now, uint8_t *ticket,
                  struct ticket_state *s, unsigned *want) {
  struct purse *p = id->purse;
  size_t len = 0;
  pthread_mutex_lock(&p->lock);
  struct place *at = find(p, place);
  *want = at ? at->want : WANT_FIRST;
  if (at) {
    at->used = ++p->clock;
    len = take(p, at, now, ticket, s);
    if (len && at->count == 0 && now - at->filled < WANT_GROWS_IN)
      at->want = at->want * WANT_GROWS_BY < TICKET_BATCH_MAX ? at->want * WANT_GROWS_BY : TICKET_BATCH_MAX;
  }
  pthread_mutex_unlock(&p->lock);
  return len;
}

void purse_drop(struct identity *id, const struct ticket_place *place) {
  struct purse *p = id->purse;
  pthread_mutex_lock(&p->lock);
  struct place *at = find(p, place);
  if (at)
    empty(p, at);
  pthread_mutex_unlock(&p->lock);
}

size_t purse_count(struct identity *id) {
  pthread_mutex_lock(&id->purse->lock);
  size_t n = id->purse->count;
  pthread_mutex_unlock(&id->purse->lock);
  return n;
}
