/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard.c - the seccomp filter against io_uring (see guard.h). It never ends a process.
 */
#include "guard.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* setup, enter, register: the same numbers on every architecture Linux supports it on, but alpha; the x32 ABI sets
 * bit
 * 30. All three, for a ring may have been made before the filter, or inherited. */
#define NR_FIRST 425u
#define NR_LAST  427u
#define X32_BIT  0x40000000u

#ifdef SHIM
#include "libc.h"
#define RAW libc_real()->syscall
#else
#define RAW syscall
#endif

bool guard_active(void) {
  int keep = errno;
  bool active = true;
  for (long nr = NR_FIRST; nr <= (long)NR_LAST && active; nr++)
    active = RAW(nr, -1L, 0L, 0L, 0L, 0L, 0L) < 0 && (errno == ENOSYS || errno == EPERM);
  errno = keep;
  return active;
}

int guard_install(bool set_no_new_privs, char *why, size_t why_len) {
  /* Looks at the number alone: so the kernel (5.11) finds out beforehand which calls always pass, and runs it for no
   * other. */
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, nr)),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ~X32_BIT),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, NR_FIRST, 0, 2),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, NR_LAST, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (ENOSYS & SECCOMP_RET_DATA)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
  int keep = errno;
  if (guard_active())
    return 0; /* inherited: filters stack up, one is enough */
  if (set_no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    int failed = errno;
    snprintf(why, why_len, "no_new_privs: %s", strerror(failed));
    errno = keep;
    return -failed;
  }
  if (RAW(SYS_seccomp, (long)SECCOMP_SET_MODE_FILTER, (long)SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) {
    int failed = errno ? errno : EACCES;
    snprintf(why, why_len, "seccomp: %s", strerror(failed));
    errno = keep;
    return -failed;
  }
  errno = keep;
  return 0;
}
