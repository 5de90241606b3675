/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn_scratch.c - large buffers for the length of one call, from a pool of this process.
 *
 * No lock and no malloc(): a hook may run in a signal handler, inside somebody's allocator, or on a
 * thread with a 16 KiB stack. A buffer that another thread used across fork() is lost to the child. One buffer is
 * there from the beginning: a program that gets no more memory goes on, as over TCP.
 */
#include "conn_int.h"

#include <sys/mman.h>

#define POOL 32

static uint8_t first[CONN_SCRATCH]; /* never given back */
static _Atomic(uint8_t *) pool[POOL] = {first};

uint8_t *conn_scratch_get(void) {
  for (int i = 0; i < POOL; i++) {
    if (!atomic_load_explicit(&pool[i], memory_order_relaxed))
      continue;
    uint8_t *p = atomic_exchange_explicit(&pool[i], NULL, memory_order_acquire);
    if (p)
      return p;
  }
  void *p = mmap(NULL, CONN_SCRATCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return p == MAP_FAILED ? NULL : p;
}

void conn_scratch_put(uint8_t *p) {
  if (!p)
    return;
  for (int i = 0; i < POOL; i++) {
    uint8_t *none = NULL;
    if (atomic_compare_exchange_strong_explicit(&pool[i], &none, p, memory_order_release, memory_order_relaxed))
      return;
  }
  if (p == first)
    p = atomic_exchange_explicit(&pool[0], p, memory_order_acq_rel);
  if (p)
    munmap(p, CONN_SCRATCH);
}
