/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arenas.c - the arenas that this process has mapped: a chunk of slots at a time, when one is needed.
 *
 * Each daemon that this process has had a session with has given it one. They stay mapped: connections
 * outlive the daemon that made them. When the table is full the oldest without a live slot is dropped.
 */
#include "arenas.h"

#include "fdtab.h"
#include "libc.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARENAS_MAX  64
#define CHUNKS      (ARENA_SLOTS / ARENA_CHUNK_SLOTS)
#define CHUNK_BYTES ((size_t)ARENA_CHUNK_SLOTS * ARENA_STRIDE)

struct arena {
  _Atomic uint64_t id; /* 0: unused */
  int fd;
  uid_t uid; /* who we were when it came */
  _Atomic(uint8_t *) chunk[CHUNKS];
};

static struct arena arenas[ARENAS_MAX];
static struct lock arenas_lock;
static unsigned next_victim;

static struct arena *find(uint64_t id) {
  for (size_t i = 0; i < ARENAS_MAX; i++) {
    if (id != 0 && atomic_load_explicit(&arenas[i].id, memory_order_acquire) == id)
      return &arenas[i];
  }
  return NULL;
}

static bool holds_live(const struct arena *a) {
  for (size_t i = 0; i < CHUNKS; i++) {
    uint8_t *chunk = atomic_load(&a->chunk[i]);
    for (size_t k = 0; chunk && k < ARENA_CHUNK_SLOTS; k++) {
      const struct arena_slot *s = (const struct arena_slot *)(void *)(chunk + k * ARENA_STRIDE);
      if (atomic_load(&s->state) == ARENA_LIVE)
        return true;
    }
  }
  return false;
}

static void drop(struct arena *a) {
  atomic_store(&a->id, 0);
  for (size_t i = 0; i < CHUNKS; i++) {
    uint8_t *chunk = atomic_exchange(&a->chunk[i], NULL);
    if (chunk)
      munmap(chunk, CHUNK_BYTES);
  }
  fdtab_unhide_close(&a->fd);
}

/* An entry for a new arena, under the lock. */
static struct arena *vacant(void) {
  for (size_t i = 0; i < ARENAS_MAX; i++) {
    if (atomic_load(&arenas[i].id) == 0)
      return &arenas[i];
  }
  for (size_t i = 0; i < ARENAS_MAX; i++) {
    struct arena *a = &arenas[next_victim++ % ARENAS_MAX];
    if (!holds_live(a)) {
      drop(a);
      return a;
    }
  }
  return NULL;
}

int arenas_add(uint64_t id, int fd) {
  struct stat st;
  if (id == 0 || fstat(fd, &st) != 0 || st.st_size != (off_t)ARENA_SLOTS * ARENA_STRIDE) {
    libc_real()->close(fd);
    return -EPROTO;
  }
  lock_signals saved;
  lock_take(&arenas_lock, &saved);
  int rc = 0;
  struct arena *a = find(id);
  if (a) {
    libc_real()->close(fd);
  } else if (!(a = vacant())) {
    libc_real()->close(fd);
    rc = -ENOMEM;
  } else {
    a->fd = fd;
    a->uid = geteuid();
    rc = fdtab_hide(&a->fd);
    if (rc == 0)
      atomic_store_explicit(&a->id, id, memory_order_release);
    else
      libc_real()->close(fd);
  }
  lock_drop(&arenas_lock, &saved);
  return rc;
}

static uint8_t *map_chunk(struct arena *a, size_t i) {
  lock_signals saved;
  lock_take(&arenas_lock, &saved);
  uint8_t *chunk = atomic_load(&a->chunk[i]);
  if (!chunk && a->fd >= 0) {
    void *p =
        mmap(NULL, CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, a->fd, (off_t)(i * CHUNK_BYTES));
    if (p != MAP_FAILED) {
      madvise(p, CHUNK_BYTES, MADV_DONTDUMP);
      chunk = p;
      atomic_store_explicit(&a->chunk[i], chunk, memory_order_release);
    }
  }
  lock_drop(&arenas_lock, &saved);
  return chunk;
}

struct arena_slot *arenas_slot(uint64_t id, uint32_t slot) {
  struct arena *a = find(id);
  if (!a || slot >= ARENA_SLOTS) {
    errno = a ? EPROTO : ENOENT;
    return NULL;
  }
  size_t i = slot / ARENA_CHUNK_SLOTS;
  uint8_t *chunk = atomic_load_explicit(&a->chunk[i], memory_order_acquire);
  if (!chunk && !(chunk = map_chunk(a, i))) {
    errno = ENOMEM;
    return NULL;
  }
  return (struct arena_slot *)(void *)(chunk + (size_t)(slot % ARENA_CHUNK_SLOTS) * ARENA_STRIDE);
}

int arenas_fd(uint64_t id) {
  const struct arena *a = find(id);
  return a && a->uid == geteuid() && a->uid == getuid() ? a->fd : -1;
}

uint64_t arenas_of(const struct arena_slot *slot) {
  const uint8_t *p = (const uint8_t *)slot;
  for (size_t i = 0; i < ARENAS_MAX; i++) {
    uint64_t id = atomic_load_explicit(&arenas[i].id, memory_order_acquire);
    for (size_t k = 0; id && k < CHUNKS; k++) {
      const uint8_t *chunk = atomic_load(&arenas[i].chunk[k]);
      if (chunk && p >= chunk && p < chunk + CHUNK_BYTES)
        return id;
    }
  }
  return 0;
}

void arenas_after_fork(void) { lock_reset(&arenas_lock); }
