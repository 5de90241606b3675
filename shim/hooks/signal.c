/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signal.c - learns that the program has signal handlers. They change nothing but this: from then on the shim
 * masks signals while it holds a lock (lock.h), for a handler may close, write, or jump.
 */
#include "../libc.h"
#include "../lock.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>

typedef void (*handler)(int);
typedef handler (*signal_fn)(int, handler);

static void notice(handler h) {
  if (h != SIG_DFL && h != SIG_IGN)
    atomic_store(&lock_masking, 1);
}

static int action(const char *name, int sig, const struct sigaction *act, struct sigaction *old) {
  int (*real)(int, const struct sigaction *, struct sigaction *) =
      (int (*)(int, const struct sigaction *, struct sigaction *))dlsym(RTLD_NEXT, name);
  if (act)
    notice(act->sa_handler); /* in a union with sa_sigaction */
  return real(sig, act, old);
}

HOOK int sigaction(int sig, const struct sigaction *restrict act, struct sigaction *restrict old) {
  return action("sigaction", sig, act, old);
}
HOOK int __sigaction(int sig, const struct sigaction *act, struct sigaction *old);
HOOK int __sigaction(int sig, const struct sigaction *act, struct sigaction *old) {
  return action("__sigaction", sig, act, old);
}

#define SIGNAL_LIKE(name)                                                                                            \
  HOOK handler name(int sig, handler h);                                                                             \
  HOOK handler name(int sig, handler h) {                                                                            \
    notice(h);                                                                                                       \
    return ((signal_fn)dlsym(RTLD_NEXT, #name))(sig, h);                                                             \
  }

SIGNAL_LIKE(signal)
SIGNAL_LIKE(bsd_signal)
SIGNAL_LIKE(ssignal)
SIGNAL_LIKE(sysv_signal)
SIGNAL_LIKE(__sysv_signal)
SIGNAL_LIKE(sigset)

HOOK int pthread_setcanceltype(int type, int *old) {
  if (type == PTHREAD_CANCEL_ASYNCHRONOUS)
    atomic_store(&lock_masking, 1);
  return ((int (*)(int, int *))dlsym(RTLD_NEXT, "pthread_setcanceltype"))(type, old);
}
