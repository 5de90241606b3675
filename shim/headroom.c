/* SPDX-License-Identifier: Apache-2.0 */
/*
 * headroom.c - the soft limit of descriptors, raised for a moment (headroom.h). The limit is the process's: while it
 * is raised another thread may open a descriptor more than it could have, and that is all it sees.
 *
 * The system calls themselves, and not libc's prlimit(): sandboxes forbid that sooner.
 */
#include "headroom.h"

#include "fdtab.h"
#include "libc.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define LEAST 64u /* numbers more than the program has */

#define SOME 6

/* The kernel's: 64 bits, as all machines that we build for have them. */
struct limit {
  unsigned long soft, hard;
};

static struct lock headroom_lock;
static unsigned users;
static struct limit before; /* while there are users */
static unsigned long raised;

static bool get(struct limit *l) { return libc_real()->syscall(SYS_getrlimit, RLIMIT_NOFILE, l) == 0; }
static bool set(const struct limit *l) { return libc_real()->syscall(SYS_setrlimit, RLIMIT_NOFILE, l) == 0; }

static bool raise_limit(void) {
  if (!get(&before) || before.soft >= before.hard || before.soft >= FDTAB_MAX)
    return false;
  raised = before.soft * 2 + LEAST;
  if (raised > before.hard)
    raised = before.hard;
  return set(&(struct limit){raised, before.hard});
}

/* Unless the program has set another one meanwhile. */
static void lower_again(void) {
  struct limit now;
  if (get(&now) && now.soft == raised && now.hard == before.hard)
    set(&before);
}

bool headroom_open(void) {
  lock_signals saved;
  int keep = errno;
  lock_take(&headroom_lock, &saved);
  bool have = users > 0 || raise_limit();
  users += have;
  lock_drop(&headroom_lock, &saved);
  errno = keep;
  return have;
}

void headroom_close(bool opened) {
  lock_signals saved;
  int keep = errno;
  if (!opened)
    return;
  lock_take(&headroom_lock, &saved);
  if (users > 0 && --users == 0)
    lower_again();
  lock_drop(&headroom_lock, &saved);
  errno = keep;
}

static bool crowded(void) {
  int fd[SOME], n = 0, keep = errno;
  /* One socket, and the others are copies of it: numbers are what is counted, and those cost a seventh. */
  while (n < SOME && (fd[n] = n == 0 ? libc_real()->socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
                                     : libc_real()->fcntl(fd[0], F_DUPFD_CLOEXEC, 0)) >= 0)
    fdtab_fresh(fd[n++]);
  bool few = n < SOME;
  while (n > 0)
    libc_real()->close(fd[--n]);
  errno = keep;
  return few;
}

bool headroom_open_if_crowded(void) { return crowded() && headroom_open(); }

bool headroom_beyond(int fd) {
  struct limit l;
  int keep = errno;
  bool beyond = get(&l) && (unsigned long)fd >= l.soft;
  errno = keep;
  return beyond;
}

/* The threads that had it raised are not here. */
void headroom_after_fork(void) {
  lock_reset(&headroom_lock);
  if (users > 0)
    lower_again();
  users = 0;
}
