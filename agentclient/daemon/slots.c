/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slots.c - the daemon's side of an arena. Takes no lock in shared memory, follows no index from it, and
 * reads nothing there that a decision about another connection could hang on.
 */
#include "slots.h"
#include "clock.h"
#include "memory.h"
#include "../handshake/handshake.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#define CHUNKS      (ARENA_SLOTS / ARENA_CHUNK_SLOTS)
#define CHUNK_BYTES ((size_t)ARENA_STRIDE * ARENA_CHUNK_SLOTS)
#define UNTAKEN_MS  60000 /* a delivered slot that nobody made LIVE for this long was lost with its process */
#define NONE        UINT32_MAX

struct slot_info {
  uint32_t use;
  uint32_t next_free; /* in the free list */
  int64_t delivered_ms;
  bool allocated, delivered;
  void (*freed)(void *arg); /* told when it is */
  void *arg;
};

struct slots {
  unsigned refs;
  int fd;
  uint64_t id;
  struct slot_info *info; /* `known` of them were ever used */
  uint32_t known, room, used, free_list;
  int64_t swept_ms;
  uint8_t *chunk[CHUNKS];
};

uint32_t slots_most = ARENA_SLOTS;

const char *slots_why(int err) {
  return err == ENOBUFS ? "no slot: the program has as many protected connections as one session can (65536); spread "
                          "them over more processes that are started on their own"
                        : "no slot: the daemon gets no more memory; raise its limit (MemoryMax=, ulimit -v)";
}

struct slots *slots_new(void) {
  struct slots *a = calloc(1, sizeof *a);
  if (!a)
    return NULL;
  a->refs = 1;
  a->free_list = NONE;
  a->fd = memory_create("svidwrap-arena", (size_t)ARENA_STRIDE * ARENA_SLOTS);
  while (a->fd >= 0 && a->id == 0)
    if (getrandom(&a->id, sizeof a->id, 0) != (ssize_t)sizeof a->id)
      break;
  if (a->fd < 0 || a->id == 0) {
    int err = errno;
    slots_unref(a);
    errno = err;
    return NULL;
  }
  return a;
}

struct slots *slots_ref(struct slots *a) {
  a->refs++;
  return a;
}

uint64_t slots_id(const struct slots *a) { return a->id; }
int slots_fd(const struct slots *a) { return a->fd; }

static struct arena_slot *slot_at(const struct slots *a, uint32_t i) {
  uint8_t *chunk = a->chunk[i / ARENA_CHUNK_SLOTS];
  return chunk ? (struct arena_slot *)(void *)(chunk + (size_t)(i % ARENA_CHUNK_SLOTS) * ARENA_STRIDE) : NULL;
}

static struct arena_slot *slot_map(struct slots *a, uint32_t i) {
  uint32_t c = i / ARENA_CHUNK_SLOTS;
  if (!a->chunk[c])
    a->chunk[c] = memory_map(a->fd, (off_t)(c * CHUNK_BYTES), CHUNK_BYTES);
  return slot_at(a, i);
}

/* Secrets go first and in any case; giving the pages back may fail. */
static void slot_wipe(struct arena_slot *s) {
  OPENSSL_cleanse(s, ARENA_PAGE);
  madvise(s, ARENA_STRIDE, MADV_REMOVE);
}

static struct slots_totals past;

static void slot_count(const struct arena_slot *s) {
  past.bytes_in += atomic_load_explicit(&s->bytes_in, memory_order_relaxed);
  past.bytes_out += atomic_load_explicit(&s->bytes_out, memory_order_relaxed);
}

void slots_past(struct slots_totals *t) { *t = past; }

static void slot_free(struct slots *a, uint32_t i) {
  slot_count(slot_at(a, i));
  slot_wipe(slot_at(a, i));
  void (*freed)(void *arg) = a->info[i].freed;
  a->info[i].allocated = a->info[i].delivered = false;
  a->info[i].freed = NULL;
  a->info[i].next_free = a->free_list;
  a->free_list = i;
  a->used--;
  if (freed)
    freed(a->info[i].arg); /* last: it may drop its reference */
}

/* A LIVE slot is the program's: its connection goes on without us, and the kernel frees the pages with the
 * last mapping. */
static void slot_forget(struct arena_slot *s) {
  slot_count(s);
  uint32_t ready = ARENA_READY;
  if (atomic_compare_exchange_strong(&s->state, &ready, ARENA_FREE) || ready == ARENA_RELEASED)
    slot_wipe(s);
}

void slots_unref(struct slots *a) {
  if (!a || --a->refs)
    return;
  for (uint32_t i = 0; i < a->known; i++)
    if (a->info[i].allocated)
      slot_forget(slot_at(a, i));
  for (uint32_t c = 0; c < CHUNKS; c++)
    if (a->chunk[c])
      munmap(a->chunk[c], CHUNK_BYTES);
  if (a->fd >= 0)
    close(a->fd);
  free(a->info);
  free(a);
}

/* A program that takes it this very moment wins. */
static void slot_collect(struct slots *a, uint32_t i, int64_t now) {
  struct arena_slot *s = slot_at(a, i);
  uint32_t state = atomic_load_explicit(&s->state, memory_order_acquire), ready = ARENA_READY;
  if (state == ARENA_RELEASED || (state == ARENA_READY && now - a->info[i].delivered_ms > UNTAKEN_MS &&
                                  atomic_compare_exchange_strong(&s->state, &ready, ARENA_FREE)))
    slot_free(a, i);
}

void slots_sweep(struct slots *a) {
  a->refs++;
  int64_t now = a->swept_ms = clock_ms();
  for (uint32_t i = 0; i < a->known; i++) {
    if (a->info[i].allocated && a->info[i].delivered)
      slot_collect(a, i, now);
  }
  slots_unref(a);
}

bool slots_sweep_after(struct slots *a, int64_t ms) {
  if (clock_ms() - a->swept_ms < ms)
    return false;
  slots_sweep(a);
  return true;
}

static int slots_grow(struct slots *a) {
  if (a->known < a->room)
    return 0;
  uint32_t room = a->room ? a->room * 2 : ARENA_CHUNK_SLOTS;
  struct slot_info *info = realloc(a->info, room * sizeof *info);
  if (!info)
    return -1;
  memset(info + a->room, 0, (room - a->room) * sizeof *info);
  a->info = info;
  a->room = room;
  return 0;
}

/* Index of a free slot, taken out of the free list and mapped; NONE and errno. */
static uint32_t slots_take(struct slots *a) {
  /* With thousands of live connections a sweep at every allocation would be most of the work. */
  if (a->free_list == NONE && (a->known == slots_most || clock_ms() - a->swept_ms > 100))
    slots_sweep(a);
  uint32_t i = a->free_list;
  if (i != NONE) {
    a->free_list = a->info[i].next_free;
  } else {
    if (a->known == slots_most) {
      errno = ENOBUFS;
      return NONE;
    }
    if (slots_grow(a) != 0 || !slot_map(a, a->known))
      return NONE;
    i = a->known++;
  }
  a->info[i].allocated = true;
  a->info[i].use++;
  a->used++;
  return i;
}

int slots_fill(struct slots *a, const struct slots_fill *f, const struct handshake_result *r,
               struct slots_ticket *out) {
  uint32_t i = slots_take(a);
  if (i == NONE)
    return -1;
  struct arena_slot *s = slot_at(a, i);
  memset(s, 0, sizeof *s);
  s->magic = ARENA_SLOT_MAGIC;
  s->use = a->info[i].use;
  s->index = i;
  s->cipher = r->cipher;
  s->role = (uint8_t)f->role;
  s->flags = f->flags;
  s->rule = f->rule;
  s->opened_ns = (uint64_t)clock_ns();
  s->peer = f->peer;
  s->peer_len = f->peer_len;
  s->peer_id_len = (uint16_t)(r->peer.len < sizeof s->peer_id ? r->peer.len : sizeof s->peer_id);
  memcpy(s->peer_id, r->peer.text, s->peer_id_len);
  s->local_id_len = (uint16_t)(r->self.len < sizeof s->local_id ? r->self.len : sizeof s->local_id);
  memcpy(s->local_id, r->self.text, s->local_id_len);
  memcpy(s->rx.secret, r->rx_secret, sizeof s->rx.secret);
  memcpy(s->tx.secret, r->tx_secret, sizeof s->tx.secret);
  s->rx.seq = r->rx_records;
  s->tx.seq = r->tx_records;
  atomic_store_explicit(&s->state, ARENA_READY, memory_order_release);
  *out = (struct slots_ticket){.slot = i, .use = a->info[i].use};
  return 0;
}

static bool slots_valid(const struct slots *a, struct slots_ticket t) {
  return t.slot < a->known && a->info[t.slot].allocated && a->info[t.slot].use == t.use;
}

void slots_abandon(struct slots *a, struct slots_ticket t) {
  if (slots_valid(a, t))
    slot_free(a, t.slot);
}

void slots_on_free(struct slots *a, struct slots_ticket t, void (*fn)(void *arg), void *arg) {
  if (!slots_valid(a, t))
    return;
  a->info[t.slot].freed = fn;
  a->info[t.slot].arg = arg;
}

void *slots_watcher(const struct slots *a, struct slots_ticket t) {
  return slots_valid(a, t) && a->info[t.slot].freed ? a->info[t.slot].arg : NULL;
}

void slots_revoke(struct slots *a, struct slots_ticket t, int err) {
  if (slots_valid(a, t))
    atomic_store(&slot_at(a, t.slot)->revoked, (uint32_t)err);
}

bool slots_reclaim(struct slots *a, struct slots_ticket t) {
  if (!slots_valid(a, t) || !a->info[t.slot].delivered)
    return false;
  a->refs++;
  slot_collect(a, t.slot, clock_ms());
  bool gone = !slots_valid(a, t);
  slots_unref(a);
  return gone;
}

void slots_delivered(struct slots *a, struct slots_ticket t) {
  if (!slots_valid(a, t))
    return;
  a->info[t.slot].delivered = true;
  a->info[t.slot].delivered_ms = clock_ms();
}

struct arena_slot *slots_live(const struct slots *a, struct slots_ticket t) {
  struct arena_slot *s = slots_valid(a, t) ? slot_at(a, t.slot) : NULL;
  return s && atomic_load(&s->state) == ARENA_LIVE ? s : NULL;
}

void slots_moved(struct slots *a, struct slots_ticket t) {
  struct arena_slot *s = slots_live(a, t);
  if (!s)
    return;
  OPENSSL_cleanse(&s->rx, sizeof s->rx);
  OPENSSL_cleanse(&s->tx, sizeof s->tx);
  s->bytes_in = s->bytes_out = 0; /* the relay counts on from there */
  madvise((uint8_t *)s + ARENA_PAGE, ARENA_STRIDE - ARENA_PAGE, MADV_REMOVE);
  atomic_store(&s->state, ARENA_MOVED);
}

uint32_t slots_moved_holders(const struct slots *a, struct slots_ticket t) {
  const struct arena_slot *s = slots_valid(a, t) ? slot_at(a, t.slot) : NULL;
  return s && atomic_load(&s->state) == ARENA_MOVED ? atomic_load(&s->holders) : 0;
}

void slots_totals(const struct slots *a, struct slots_totals *t) {
  for (uint32_t i = 0; i < a->known; i++) {
    if (!a->info[i].allocated)
      continue;
    struct arena_slot *s = slot_at(a, i);
    uint32_t state = atomic_load_explicit(&s->state, memory_order_relaxed);
    t->live += state == ARENA_LIVE;
    t->ready += state == ARENA_READY;
    t->bytes_in += atomic_load_explicit(&s->bytes_in, memory_order_relaxed);
    t->bytes_out += atomic_load_explicit(&s->bytes_out, memory_order_relaxed);
  }
}

bool slots_look(const struct slots *a, struct slots_ticket t, struct slots_view *v) {
  const struct arena_slot *s = slots_valid(a, t) ? slot_at(a, t.slot) : NULL;
  uint32_t state = s ? atomic_load_explicit(&s->state, memory_order_acquire) : ARENA_FREE;
  if (state != ARENA_LIVE && state != ARENA_READY)
    return false;
  *v = (struct slots_view){.taken = state == ARENA_LIVE,
                           .cipher = s->cipher,
                           .bytes_in = atomic_load_explicit(&s->bytes_in, memory_order_relaxed),
                           .bytes_out = atomic_load_explicit(&s->bytes_out, memory_order_relaxed)};
  return true;
}
