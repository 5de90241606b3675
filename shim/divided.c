/* SPDX-License-Identifier: Apache-2.0 */
/*
 * divided.c - more than one table of descriptors in a process (divided.h). Whether there are other threads is the
 * kernel's to say: libc does not know of all.
 */
#include "divided.h"

#include "fdtab.h"
#include "libc.h"
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define ENDING_MS 20 /* within which a thread that was joined is gone, too */

/* What was done where there was no socket yet. */
enum { UNDIVIDED, TWO_TABLES, TWO_MEMORIES };
static _Atomic uint32_t division;

/* unshare(CLONE_VM) changes nothing and answers just that; where a container forbids it, the threads are counted:
 * that misses other processes on this memory. */
static bool alone_now(bool surely) {
  struct statx s;
  if (libc_real()->syscall(SYS_unshare, CLONE_VM) == 0)
    return true;
  return errno != EINVAL && !surely &&
         libc_real()->syscall(SYS_statx, AT_FDCWD, "/proc/self/task", 0, STATX_NLINK, &s) == 0 && s.stx_nlink == 3;
}

/* Does nobody else run on this memory? A thread that was joined is there for a moment more. */
static bool alone(bool surely) {
  const struct timespec ms = {.tv_nsec = 1000000};
  int keep = errno;
  bool is = alone_now(surely);
  for (int i = 0; i < ENDING_MS && !is; i++) {
    libc_real()->syscall(SYS_nanosleep, &ms, NULL);
    is = alone_now(surely);
  }
  errno = keep;
  return is;
}

static _Atomic bool lent;

bool divided_lend(void) {
  bool before = false;
  return atomic_compare_exchange_strong(&lent, &before, true);
}
void divided_returned(void) { atomic_store(&lent, false); }

bool divided_lent(void) { return atomic_load_explicit(&lent, memory_order_relaxed); }

bool divided_lent_refused(void) {
  if (!divided_lent())
    return false;
  session_complain("a child of vfork() runs on its parent's memory: connections that it makes itself cannot be "
                   "protected, and are refused; let it execute a program that makes them, or use fork()");
  return true;
}

static bool refused(const char *what, uint32_t kind) {
  if (!fdtab_marked()) {
    if (atomic_load(&division) < kind)
      atomic_store(&division, kind);
    return false;
  }
  session_complain("%s is refused: who shares this process's %s cannot be protected; do it before the other threads "
                   "and sockets are made, or in a process of its own",
                   what, kind == TWO_TABLES ? "memory and not its descriptors" : "descriptors and not its memory");
  errno = EPERM;
  return true;
}

/* A table that is not this one's memory's, while that is lent, is none of its business. */
bool divided_refused(const char *what) { return !divided_lent() && !alone(false) && refused(what, TWO_TABLES); }
bool divided_child_refused(const char *what) { return refused(what, TWO_TABLES); }
bool divided_sharing_refused(const char *what) { return !divided_lent() && refused(what, TWO_MEMORIES); }

bool divided(void) {
  if (divided_lent_refused())
    return true;
  uint32_t kind = atomic_load_explicit(&division, memory_order_relaxed);
  if (kind == UNDIVIDED)
    return false;
  if (kind == TWO_TABLES && alone(true)) { /* the others have ended */
    atomic_compare_exchange_strong(&division, &kind, UNDIVIDED);
    return false;
  }
  session_complain(
      kind == TWO_TABLES
          ? "threads of this process have tables of descriptors of their own (unshare(CLONE_FILES)): its "
            "connections cannot be protected, and are refused"
          : "this process has its descriptors in common with another (clone() with CLONE_FILES and without "
            "CLONE_VM): its connections cannot be protected, and are refused");
  return true;
}
