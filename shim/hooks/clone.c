/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clone.c - processes made by clone(), and by its bare system call (vsftpd's, container runtimes'): with memory and
 * descriptors of their own they are what fork() makes. Threads pass through.
 */
#include "clone.h"

#include "../conn_pages.h"
#include "../divided.h"
#include "../image.h"
#include "../libc.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A new table of descriptors. */
static bool forks(unsigned long flags) { return !(flags & (CLONE_FILES | CLONE_THREAD)); }

/* A child on its parent's memory would edit its parent's table of connections, so it gets a copy. (vfork.c tells when
 * it need not; here nobody would hear that the child has gone.) */
static unsigned long apart(unsigned long flags) {
  if ((flags & CLONE_VM) && (flags & CLONE_VFORK))
    flags &= ~(unsigned long)CLONE_VM;
  return flags;
}

static void forked(long pid) {
  if (pid == 0) {
    image_after_fork_child();
    return;
  }
  int keep = errno;
  image_after_fork_parent();
  if (pid < 0)
    image_fork_failed();
  errno = keep;
}

/* The same without the parent waiting: the program counts on the shared memory, so a copy would not do, and with it
 * two tables of descriptors would have one table of connections (divided.h). */
static bool refused(unsigned long flags) {
  if ((flags & CLONE_FILES) && !(flags & CLONE_VM))
    return divided_sharing_refused("clone() with CLONE_FILES and without CLONE_VM");
  return forks(flags) && (apart(flags) & CLONE_VM) &&
         divided_child_refused("clone() with CLONE_VM, and without CLONE_FILES or CLONE_VFORK,");
}

#ifdef SYS_clone3
/* The first word of clone3()'s structure is the flags; it may be of any length. With CLONE_VM nobody returns twice
 * from syscall() and lives. What the kernel refuses passes through. */
static unsigned long clone3_flags(const void *arguments, size_t size) {
  uint64_t flags;
  if (size < 64 || pages_readable(arguments, size) != size)
    return CLONE_THREAD;
  memcpy(&flags, arguments, sizeof flags);
  return flags;
}
#endif

bool clone_syscall(long nr, const long a[6], long *rc) {
  unsigned long flags = (unsigned long)a[0];
#ifdef SYS_clone3
  if (nr == SYS_clone3)
    flags = clone3_flags((const void *)a[0], (size_t)a[1]);
  else
#endif
      if (nr != SYS_clone)
    return false;
  if ((nr == SYS_clone || !(flags & CLONE_VM)) && refused(flags)) {
    *rc = -1;
    return true;
  }
  if (nr == SYS_clone)
    flags = apart(flags);
  if (!forks(flags) || (flags & CLONE_VM))
    return false;
  image_before_fork();
  *rc = libc_real()->syscall(nr, nr == SYS_clone ? (long)flags : a[0], a[1], a[2], a[3], a[4], a[5]);
  forked(*rc);
  return true;
}

struct child {
  int (*fn)(void *);
  void *arg;
};

/* Runs on the child's copy of the parent's memory. */
static int begin(void *arg) {
  struct child c = *(const struct child *)arg;
  forked(0);
  _exit(c.fn(c.arg));
}

HOOK int clone(int (*fn)(void *), void *stack, int flags, void *arg, ...) {
  va_list ap;
  va_start(ap, arg);
  void *parent_tid = va_arg(ap, void *), *tls = va_arg(ap, void *), *child_tid = va_arg(ap, void *);
  va_end(ap);
  if (fn && stack && refused((unsigned)flags))
    return -1;
  if (!fn || !stack || !forks((unsigned)flags) || (apart((unsigned)flags) & CLONE_VM))
    return libc_real()->clone(fn, stack, flags, arg, parent_tid, tls, child_tid);
  struct child c = {fn, arg};
  image_before_fork();
  int pid = libc_real()->clone(begin, stack, (int)apart((unsigned)flags), &c, parent_tid, tls, child_tid);
  forked(pid);
  return pid;
}
