/* SPDX-License-Identifier: Apache-2.0 */
/*
 * threads.h - threads that block in a call and are cancelled there.
 */
#ifndef DIFFERENTIAL_THREADS_H
#define DIFFERENTIAL_THREADS_H

#include "scenario.h"

#include <limits.h>
#include <sys/mman.h>

__attribute__((unused)) static _Atomic int cancel_sent;

/* Until it is cancelled, without noticing. */
static inline void wait_for_cancel(void) {
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
  while (!cancel_sent)
    nap(10);
  pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
}

/* Starts fn, lets it block, cancels it, and says how it ended. */
static inline void cancel_in(const char *what, void *(*fn)(void *), void *arg) {
  void *result = NULL;
  cancel_sent = 0;
  pthread_t t = thread(fn, arg);
  nap(100);
  pthread_cancel(t);
  cancel_sent = 1;
  pthread_join(t, &result);
  say("%s: %s", what, result == PTHREAD_CANCELED ? "cancelled" : result ? "returned" : "returned nothing");
}

/* The smallest stack that the C library allows: 16 KiB, of which it takes some itself. */
#define SMALL_STACK (size_t) PTHREAD_STACK_MIN

static inline void *on_a_small_stack(void *(*fn)(void *), void *arg) {
  pthread_attr_t a;
  pthread_t t = 0;
  void *result = NULL;
  pthread_attr_init(&a);
  if (pthread_attr_setstacksize(&a, SMALL_STACK) != 0 || pthread_create(&t, &a, fn, arg) != 0)
    give_up("pthread_create");
  pthread_join(t, &result);
  pthread_attr_destroy(&a);
  return result;
}

#endif
