/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn_memory.c - memory for the shim's own copy of libcrypto.
 *
 * A hook may run in a signal handler or inside the program's malloc(), so libcrypto must not call that.
 * Blocks come in steps of 64 bytes from mapped chunks, one free list a size; what is larger is mapped
 * by itself. Sealing and opening records allocate nothing: this serves contexts, and the first set-up.
 * Whoever calls libcrypto has all signals blocked (setting it up is ten thousand calls here: a system call
 * in each would be felt). Every store leaves the lists whole, so that a fork() in the middle costs the
 * child a block at most.
 */
#include "conn_int.h"

#include <openssl/crypto.h>

#include <string.h>
#include <sys/mman.h>

#define STEP  64u
#define SIZES 64u /* 64 bytes to 4 KiB, header included */
#define CHUNK 65536u

struct block {
  size_t size; /* whole, header included */
  struct block *next;
};
_Static_assert(sizeof(struct block) == 16, "what follows is aligned for anything");

static pthread_mutex_t memory_lock = PTHREAD_MUTEX_INITIALIZER;
static struct block *free_list[SIZES];
static uint8_t *chunk_at, *chunk_end;

static void *map(size_t size) {
  void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return p == MAP_FAILED ? NULL : p;
}

static struct block *carve(size_t size) {
  if (!chunk_at || (size_t)(chunk_end - chunk_at) < size) {
    uint8_t *fresh = map(CHUNK);
    if (!fresh)
      return NULL;
    chunk_end = chunk_at = NULL;
    chunk_end = fresh + CHUNK;
    chunk_at = fresh;
  }
  struct block *b = (struct block *)(void *)chunk_at;
  chunk_at += size;
  return b;
}

static void *memory_get(size_t len, const char *file, int line) {
  (void)file;
  (void)line;
  if (len == 0 || len > SIZE_MAX / 2)
    return NULL;
  size_t size = (len + sizeof(struct block) + STEP - 1) / STEP * STEP;
  struct block *b;
  if (size > STEP * SIZES) {
    b = map(size);
  } else {
    struct block **list = &free_list[size / STEP - 1];
    pthread_mutex_lock(&memory_lock);
    b = *list;
    if (b)
      *list = b->next;
    else
      b = carve(size);
    pthread_mutex_unlock(&memory_lock);
  }
  if (!b)
    return NULL;
  b->size = size;
  return b + 1;
}

static void memory_put(void *p, const char *file, int line) {
  (void)file;
  (void)line;
  if (!p)
    return;
  struct block *b = (struct block *)p - 1;
  if (b->size > STEP * SIZES) {
    munmap(b, b->size);
    return;
  }
  struct block **list = &free_list[b->size / STEP - 1];
  pthread_mutex_lock(&memory_lock);
  b->next = *list;
  *list = b;
  pthread_mutex_unlock(&memory_lock);
}

static void *memory_resize(void *p, size_t len, const char *file, int line) {
  if (!p)
    return memory_get(len, file, line);
  if (len == 0) {
    memory_put(p, file, line);
    return NULL;
  }
  size_t had = ((struct block *)p - 1)->size - sizeof(struct block);
  if (len <= had)
    return p;
  void *q = memory_get(len, file, line);
  if (q) {
    memcpy(q, p, had);
    memory_put(p, file, line);
  }
  return q;
}

/* As early as can be: libcrypto refuses once it has allocated, and then keeps to malloc(). */
__attribute__((constructor)) static void memory_install(void) {
  CRYPTO_set_mem_functions(memory_get, memory_resize, memory_put);
}

void conn_memory_after_fork(void) {
  static const pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
  memory_lock = fresh;
}
