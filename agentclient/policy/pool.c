/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.c - a bump allocator over a list of chunks; see pool.h.
 */
#include "pool.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POOL_CHUNK 8192u
#define POOL_ALIGN 16u

struct pool_chunk {
  struct pool_chunk *next;
  size_t used, size;
  _Alignas(POOL_ALIGN) unsigned char data[];
};

void *pool_alloc(struct pool *pool, size_t size) {
  if (size > SIZE_MAX / 2)
    return NULL;
  size = (size + POOL_ALIGN - 1) & ~(size_t)(POOL_ALIGN - 1);
  struct pool_chunk *c = pool->chunks;
  if (!c || c->size - c->used < size) {
    size_t room = size > POOL_CHUNK ? size : POOL_CHUNK;
    c = calloc(1, sizeof *c + room);
    if (!c)
      return NULL;
    c->size = room;
    c->next = pool->chunks;
    pool->chunks = c;
  }
  void *p = c->data + c->used;
  c->used += size;
  return p;
}

char *pool_strndup(struct pool *pool, const char *text, size_t len) {
  char *s = pool_alloc(pool, len + 1);
  if (s)
    memcpy(s, text, len);
  return s;
}

char *pool_printf(struct pool *pool, const char *fmt, ...) {
  char buf[1024];
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(buf, sizeof buf, fmt, ap);
  va_end(ap);
  if (n < 0)
    return NULL;
  return pool_strndup(pool, buf, strlen(buf));
}

void pool_free(struct pool *pool) {
  while (pool->chunks) {
    struct pool_chunk *next = pool->chunks->next;
    free(pool->chunks);
    pool->chunks = next;
  }
}
