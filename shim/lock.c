/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock.c - the shim's private locks: a futex word, taken with all signals blocked.
 */
#include "lock.h"

#include "libc.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>

_Atomic uint32_t lock_masking;

/* No mask ever has SIGKILL and SIGSTOP in it: this one says that nothing was changed. */
#define UNCHANGED (~(lock_signals)0)

void lock_signals_block(lock_signals *saved) {
  if (!atomic_load_explicit(&lock_masking, memory_order_relaxed)) {
    *saved = UNCHANGED;
    return;
  }
  const lock_signals all = ~(lock_signals)0;
  int keep = errno;
  libc_real()->syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, saved, sizeof all);
  errno = keep;
}

bool lock_signals_blocked(const lock_signals *saved) { return *saved != UNCHANGED; }

void lock_handlers_block(lock_signals *saved) {
  lock_signals_block(saved);
  if (!lock_signals_blocked(saved))
    return;
  int keep = errno;
  lock_signals mask = *saved;
  for (int sig = 1; sig < NSIG; sig++) {
    struct sigaction a;
    if (sigaction(sig, NULL, &a) == 0 &&
        ((a.sa_flags & SA_SIGINFO) || (a.sa_handler != SIG_DFL && a.sa_handler != SIG_IGN)))
      mask |= (lock_signals)1 << (sig - 1);
  }
  libc_real()->syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof mask);
  errno = keep;
}

void lock_signals_restore(const lock_signals *saved) {
  if (*saved == UNCHANGED)
    return;
  int keep = errno;
  libc_real()->syscall(SYS_rt_sigprocmask, SIG_SETMASK, saved, NULL, sizeof *saved);
  errno = keep;
}

void lock_take(struct lock *l, lock_signals *saved) {
  lock_signals_block(saved);
  uint32_t expected = 0;
  if (atomic_compare_exchange_strong_explicit(&l->word, &expected, 1, memory_order_acquire, memory_order_relaxed))
    return;
  int keep = errno;
  while (atomic_exchange_explicit(&l->word, 2, memory_order_acquire) != 0)
    libc_real()->syscall(SYS_futex, &l->word, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
  errno = keep;
}

void lock_drop(struct lock *l, const lock_signals *saved) {
  if (atomic_exchange_explicit(&l->word, 0, memory_order_release) == 2) {
    int keep = errno;
    libc_real()->syscall(SYS_futex, &l->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    errno = keep;
  }
  lock_signals_restore(saved);
}
