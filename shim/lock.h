/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock.h - process-private locks of the shim, taken with all signals blocked.
 *
 * A signal handler may call close() or read() (async-signal-safe functions), or leave by
 * siglongjmp(); with signals blocked neither can happen while a lock is held. No lock is held
 * across a blocking call.
 */
#ifndef SHIM_LOCK_H
#define SHIM_LOCK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct lock {
  _Atomic uint32_t word; /* 0 free, 1 taken, 2 taken and waited for */
};

/* The kernel's signal set: 64 bits. */
typedef uint64_t lock_signals;

/* Masking costs two system calls, 100 ns each, around every read and write. A process in which no handler was ever
 * installed (and no thread made itself cancellable at any time) has nothing that could get in between: it goes
 * without. Never goes back to 0. hooks/signal.c sets it, before the handler is there. */
extern _Atomic uint32_t lock_masking;

void lock_signals_block(lock_signals *saved);
/* For work that may take seconds: no handler runs meanwhile, and whatever ends or stops the process still does. */
void lock_handlers_block(lock_signals *saved);
void lock_signals_restore(const lock_signals *saved);
/* Were any blocked? */
bool lock_signals_blocked(const lock_signals *saved);

void lock_take(struct lock *l, lock_signals *saved);
void lock_drop(struct lock *l, const lock_signals *saved);

/* Talking to the daemon and keeping the books takes calls at which a thread could be cancelled: from here to the end
 * of the block it is not. Where the program's own call would block, cancellation is left as the program has it, with
 * a handler that gives back what is pinned. A jump out of such a block leaves cancellation off. */
static inline int lock_cancel_off(void) {
  int state;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
  return state;
}
static inline void lock_cancel_back(const int *state) { pthread_setcancelstate(*state, NULL); }
#define LOCK_NO_CANCEL const int cancel_state_ __attribute__((cleanup(lock_cancel_back), unused)) = lock_cancel_off()

/* In the child of fork(): nobody else is left to drop it. */
static inline void lock_reset(struct lock *l) { atomic_store_explicit(&l->word, 0, memory_order_relaxed); }

#endif
