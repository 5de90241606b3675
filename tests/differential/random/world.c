/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world.c - random numbers, the trace, and what the processes of a seed know of descriptors and connections.
 *
 * A connection's model is small: how much went into each direction and came out of it, which side has ended what.
 * It follows the answers that programs got. Where it would be wrong, a native run shows it: two native runs of a seed
 * must have one trace.
 */
#include "random.h"
#include "stream.h"

#include <stdarg.h>

struct world *W;
struct worker *me;
const char *marker;
struct draw D;

/* ---- random numbers: splitmix64 ---- */
static uint64_t next(void) {
  uint64_t z = D.state += 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

void draw_init(uint64_t seed, uint64_t stream) {
  D.state = seed * 0xd1342543de82ef95ull + stream * 0x2545f4914f6cdd1dull;
  next();
  next();
}

uint32_t draw(uint32_t below) { return below == 0 ? 0 : (uint32_t)((next() >> 32) * below >> 32); }

bool chance(uint32_t percent) { return draw(100) < percent; }

/* Sizes: mostly small, often around the edges of a record of 16384 bytes with 22 more, seldom large. */
uint32_t draw_size(void) {
  static const uint32_t edges[] = {16384, 16384 - 22, 16384 + 22, 32768, 32768 + 22, 16384 - 17, 8192, 4096, 1460};
  switch (draw(10)) {
  case 0:
    return draw(3);
  case 1:
  case 2:
  case 3:
    return 1 + draw(64);
  case 4:
  case 5:
    return 1 + draw(3000);
  case 6:
  case 7:
    return edges[draw(sizeof edges / sizeof *edges)] + draw(5) - 2;
  case 8:
    return 1 + draw(40000);
  default:
    return chance(20) ? (256u << 10) + draw(512u << 10) : 1 + draw(66000);
  }
}

/* ---- trace ---- */
void say(const char *fmt, ...) {
  va_list ap;
  if (W->len > TEXT - 2048)
    return;
  va_start(ap, fmt);
  int n = vsnprintf(W->text + W->len, 2000, fmt, ap);
  va_end(ap);
  if (n > 1990)
    n = 1990;
  W->len += (size_t)n;
  if (W->text[W->len - 1] != '\n')
    W->text[W->len++] = '\n';
}

const char *answer(long rc, int error) {
  static _Thread_local char buf[4][48];
  static _Thread_local unsigned at;
  char *b = buf[at++ % 4];
  if (rc == -1)
    snprintf(b, sizeof buf[0], "-1 %s", strerrorname_np(error) ? strerrorname_np(error) : "?");
  else
    snprintf(b, sizeof buf[0], "%ld", rc);
  return b;
}

const char *mask_name(unsigned mask) {
  static const struct {
    unsigned bit;
    const char *name;
  } names[] = {{EPOLLIN, "IN"},      {EPOLLPRI, "PRI"},   {EPOLLOUT, "OUT"},     {EPOLLERR, "ERR"},
               {EPOLLHUP, "HUP"},    {POLLNVAL, "NVAL"},  {EPOLLRDHUP, "RDHUP"}, {EPOLLRDNORM, "RDN"},
               {EPOLLWRNORM, "WRN"}, {EPOLLRDBAND, "RDB"}};
  static _Thread_local char buf[4][96];
  static _Thread_local unsigned at;
  char *b = buf[at++ % 4];
  b[0] = 0;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (mask & names[i].bit) {
      strcat(b, b[0] ? "|" : "");
      strcat(b, names[i].name);
    }
  }
  return b[0] ? b : "0";
}

void give_up(const char *why) {
  say("GAVE UP: %s: %s", why, strerror(errno));
  W->over = true;
  sem_post(&W->done);
  _exit(3);
}

/* ---- descriptors ---- */
int object_new(enum kind kind) {
  if (W->objects == OBJECTS)
    give_up("too many objects");
  struct object *o = &W->object[W->objects];
  *o = (struct object){.kind = (uint8_t)kind, .conn = -1};
  return W->objects++;
}

int conn_new(void) {
  if (W->conns == CONNS)
    give_up("too many connections");
  memset(&W->conn[W->conns], 0, sizeof W->conn[0]);
  W->conn[W->conns].listener = -1;
  return W->conns++;
}

void number_add(int fd, int object) {
  if (me->count == NUMBERS)
    give_up("too many numbers");
  me->table[me->count++] = (struct number){fd, object};
  W->object[object].refs++;
}

int number_find(int fd) {
  for (int i = 0; i < me->count; i++) {
    if (me->table[i].fd == fd)
      return i;
  }
  return -1;
}

static void unref(int object) {
  struct object *o = &W->object[object];
  if (--o->refs > 0)
    return;
  if (o->kind == K_CONN)
    conn_end(o);
  if (o->kind == K_LISTENER) {
    for (int i = 0; i < o->queued; i++) { /* who was not accepted is reset */
      struct connection *c = &W->conn[o->queue[i]];
      c->listener = -1;
      c->closed[1] = c->reset[0] = true;
    }
    o->queued = 0;
  }
  o->kind = K_NONE;
}

void number_drop(int index) {
  int object = me->table[index].object;
  me->table[index] = me->table[--me->count];
  unref(object);
}

void worker_drop(struct worker *w) {
  if (w->job.active)
    W->object[w->job.object].reader = w->job.active = false;
  for (int i = 0; i < w->count; i++)
    unref(w->table[i].object);
  w->count = 0;
}

struct object *object_of(int index) {
  return &W->object[me->table[index].object];
}

bool reader_at(const struct object *o) {
  for (int i = 0; i < W->objects; i++) {
    const struct object *p = &W->object[i];
    if (p->kind == K_CONN && p->conn == o->conn && p->side != o->side && p->reader)
      return true;
  }
  return false;
}

static bool open_when(const struct object *o) { return conn_of(o)->vague[o->side] || conn_of(o)->relayed; }

static int pick_from(unsigned kinds, bool quiet) {
  int found[NUMBERS], n = 0;
  for (int i = 0; i < me->count; i++) {
    const struct object *o = object_of(i);
    if ((o->kind & kinds) && (!quiet || (!o->reader && !(o->kind == K_CONN && open_when(o)))))
      found[n++] = i;
  }
  return n == 0 ? -1 : found[draw((uint32_t)n)];
}

int pick(unsigned kinds) { return pick_from(kinds, false); }
int pick_quiet(unsigned kinds) { return pick_from(kinds, true); }

/* ---- connections ---- */
struct connection *conn_of(const struct object *o) {
  return &W->conn[o->conn];
}

uint64_t unread(const struct object *o) {
  const struct direction *d = &conn_of(o)->from[!o->side];
  return d->sent - d->got;
}

uint64_t outstanding(const struct object *o) {
  const struct direction *d = &conn_of(o)->from[o->side];
  return d->sent - d->got;
}

bool would_block(const struct object *o) {
  if (o->kind != K_CONN)
    return false;
  const struct connection *c = conn_of(o);
  return unread(o) == 0 && !c->from[!o->side].fin && !c->reset[o->side] && !c->shut_rd[o->side];
}

void conn_shut_wr(struct object *o) { conn_of(o)->from[o->side].fin = true; }

bool peer_takes_none(const struct object *o) {
  const struct connection *c = conn_of(o);
  int peer = !o->side;
  return c->closed[peer] || (c->shut_rd[peer] && c->from[peer].fin);
}

/* Bytes to a side that takes none any more (closed, or shut both ways) are answered by a reset, and are never read.
 */
void conn_sent(struct object *o, uint64_t n) {
  struct connection *c = conn_of(o);
  int peer = !o->side;
  if (!peer_takes_none(o)) {
    c->from[o->side].sent += n;
  } else if (n > 0) {
    c->reset[0] = c->reset[1] = true;
    c->vague[o->side] |= unread(o) > EXACT;
    c->vague[peer] |= outstanding(o) > EXACT;
  }
}

void conn_got(struct object *o, uint64_t n) { conn_of(o)->from[!o->side].got += n; }

void conn_end(struct object *o) {
  struct connection *c = conn_of(o);
  if ((unread(o) > 0 || c->linger0[o->side]) && !c->closed[!o->side]) {
    c->reset[!o->side] = true;
    c->vague[!o->side] |= outstanding(o) > EXACT || c->killed[o->side];
  }
  c->from[o->side].fin = true;
  c->closed[o->side] = true;
}

struct sockaddr_in at_port(uint16_t port) {
  return (struct sockaddr_in){
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* ---- bytes ---- */
void fill(void *p, size_t n, const struct object *o, uint64_t at) {
  stream_fill(p, n, marker, (uint32_t)(o->conn < 0 ? 99 : o->conn * 2 + o->side), at);
}

bool same(const void *p, size_t n, const struct object *o, uint64_t at) {
  if (n == 0)
    return true;
  uint8_t *want = malloc(n);
  stream_fill(want, n, marker, (uint32_t)(o->conn * 2 + !o->side), at);
  bool equal = memcmp(p, want, n) == 0;
  free(want);
  return equal;
}
