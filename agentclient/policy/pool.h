/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.h - memory that is given back all at once: a policy's strings and rules, a parsed file's nodes.
 *
 * Nothing in a pool is freed by itself. Memory comes zeroed; NULL means out of memory.
 */
#ifndef POLICY_POOL_H
#define POLICY_POOL_H

#include <stddef.h>

struct pool_chunk;
struct pool {
  struct pool_chunk *chunks;
};

void *pool_alloc(struct pool *pool, size_t size);
char *pool_strndup(struct pool *pool, const char *text, size_t len); /* NUL-terminated */
char *pool_printf(struct pool *pool, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void pool_free(struct pool *pool);

#endif
