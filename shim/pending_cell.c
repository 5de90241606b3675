/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pending_cell.c - the little that processes forked during a connect() must know of each other.
 *
 * All of them can read the daemon's answer (it is only ever peeked at), but one must take the slot, and
 * the last close of all must be the one that says close_notify. So a connect() has a cell in shared
 * memory that counts processes until the answer is taken; then the count moves into the slot. It never
 * holds a secret.
 */
#include "pending_int.h"

#include "libc.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#define CELLS              1024u
#define COUNT_MASK         0xffffffu
#define TAKING_PATIENCE_MS 2000u

static struct pending_cell *_Atomic cells;
static _Atomic uint32_t hint;

static enum cell_state state_of(uint32_t word) { return (enum cell_state)(word >> 24); }
static uint32_t word_of(enum cell_state state, uint32_t count) { return (uint32_t)state << 24 | count; }

static struct pending_cell *map_shared(size_t count) {
  void *mem =
      mmap(NULL, count * sizeof(struct pending_cell), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (mem == MAP_FAILED)
    return NULL;
  struct pending_cell *c = mem;
  return c;
}

static struct pending_cell *pool(void) {
  struct pending_cell *have = atomic_load(&cells);
  if (have)
    return have;
  struct pending_cell *mine = map_shared(CELLS);
  if (!mine)
    return NULL;
  if (atomic_compare_exchange_strong(&cells, &have, mine))
    return mine;
  munmap(mine, CELLS * sizeof *mine);
  return have;
}

static void clear(struct pending_cell *c, uint32_t alone) {
  atomic_store(&c->taker, 0);
  atomic_store(&c->repeated, 0);
  c->err = 0;
  c->alone = alone;
}

struct pending_cell *cell_new(void) {
  struct pending_cell *base = pool();
  uint32_t start = atomic_fetch_add(&hint, 1);
  for (uint32_t i = 0; base && i < CELLS; i++) {
    struct pending_cell *c = &base[(start + i) % CELLS];
    uint32_t expected = 0;
    if (atomic_compare_exchange_strong(&c->word, &expected, word_of(CELL_OPEN, 1))) {
      clear(c, 0);
      return c;
    }
  }
  struct pending_cell *c = map_shared(1);
  if (c) {
    clear(c, 1);
    atomic_store(&c->word, word_of(CELL_OPEN, 1));
  }
  return c;
}

enum cell_state cell_look(const struct pending_cell *c) { return state_of(atomic_load(&c->word)); }
uint32_t cell_processes(const struct pending_cell *c) { return atomic_load(&c->word) & COUNT_MASK; }

/* Another process is between "mine" and "done" (some microseconds). Should it have died there, the connect fails. */
static uint32_t settled_word(struct pending_cell *c) {
  uint64_t give_up = 0;
  for (unsigned turn = 0;; turn++) {
    uint32_t w = atomic_load(&c->word);
    if (state_of(w) != CELL_TAKING)
      return w;
    sched_yield();
    if (turn % 64 != 63)
      continue;
    uint64_t now = pending_now_ms();
    int keep = errno;
    if (give_up == 0)
      give_up = now + TAKING_PATIENCE_MS;
    if (now > give_up || (kill(atomic_load(&c->taker), 0) != 0 && errno == ESRCH)) {
      c->err = ECONNABORTED;
      atomic_compare_exchange_strong(&c->word, &w, word_of(CELL_FAILED, w & COUNT_MASK));
    }
    errno = keep;
  }
}

enum cell_state cell_share(struct pending_cell *c) {
  for (;;) {
    uint32_t w = settled_word(c);
    if (atomic_compare_exchange_strong(&c->word, &w, w + 1))
      return state_of(w);
  }
}

enum cell_state cell_drop(struct pending_cell *c) {
  for (;;) {
    uint32_t w = settled_word(c), alone = c->alone;
    uint32_t left = (w & COUNT_MASK) > 0 ? (w & COUNT_MASK) - 1 : 0;
    if (atomic_compare_exchange_strong(&c->word, &w, left || alone ? word_of(state_of(w), left) : 0))
      return state_of(w);
  }
}

void cell_unmap(struct pending_cell *c) {
  if (c->alone)
    munmap(c, sizeof *c);
}

enum cell_state cell_begin(struct pending_cell *c) {
  for (;;) {
    uint32_t w = settled_word(c);
    if (state_of(w) != CELL_OPEN)
      return state_of(w);
    if (atomic_compare_exchange_strong(&c->word, &w, word_of(CELL_TAKING, w & COUNT_MASK))) {
      atomic_store(&c->taker, getpid());
      return CELL_OPEN;
    }
  }
}

void cell_taken(struct pending_cell *c, _Atomic uint32_t *holders) {
  uint32_t w = atomic_load(&c->word);
  do {
    atomic_store(holders, w & COUNT_MASK);
  } while (!atomic_compare_exchange_strong(&c->word, &w, word_of(CELL_TAKEN, w & COUNT_MASK)));
}

static void publish(struct pending_cell *c, enum cell_state state) {
  uint32_t w = atomic_load(&c->word);
  while (!atomic_compare_exchange_strong(&c->word, &w, word_of(state, w & COUNT_MASK))) {
  }
}

void cell_failed(struct pending_cell *c, int err) {
  c->err = err;
  publish(c, CELL_FAILED);
}

void cell_plain(struct pending_cell *c) { publish(c, CELL_PLAIN); }
