/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tracer.c - PR_SET_PTRACER, once a session.
 *
 * The daemon holds this session's traffic secrets already and cannot be traced itself, so that nobody gains by it;
 * what a program declared for itself before (crash handlers do so when they crash) is overwritten. Under scope 2 and
 * 3 nothing would help, under 0 nothing is needed.
 */
#include "tracer.h"

#include "libc.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static pid_t declared;

static int scope(void) {
  char digit = 0;
  int fd =
      (int)libc_real()->syscall(SYS_openat, AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return 0;
  long n = libc_real()->syscall(SYS_read, fd, &digit, 1);
  libc_real()->syscall(SYS_close, fd);
  return n == 1 ? digit - '0' : 0;
}

void tracer_set(pid_t daemon) {
  int keep = errno;
  declared = 0;
  if (daemon > 0 && scope() == 1) {
    declared = daemon;
    tracer_after_fork();
  }
  errno = keep;
}

void tracer_after_fork(void) {
  int keep = errno;
  if (declared)
    libc_real()->syscall(SYS_prctl, PR_SET_PTRACER, declared, 0, 0, 0);
  errno = keep;
}
