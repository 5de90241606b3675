/* SPDX-License-Identifier: Apache-2.0 */
/*
 * enfile.h - the system has no more open files, for one thread: by a filter, for the real table is everybody's.
 */
#ifndef PROGRAMS_ENFILE_H
#define PROGRAMS_ENFILE_H

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ENFILE_MAX 32u

/* These system calls answer ENFILE from now on, in this thread; it cannot be taken back. false: no filter is there.
 */
static inline bool enfile_from_now(const unsigned *makers, unsigned n) {
  struct sock_filter f[ENFILE_MAX + 3];
  if (n > ENFILE_MAX)
    return false;
  f[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (unsigned i = 0; i < n; i++)
    f[i + 1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, makers[i], (uint8_t)(n - i), 0);
  f[n + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  f[n + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENFILE);
  struct sock_fprog p = {.len = (unsigned short)(n + 3), .filter = f};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &p) == 0;
}

#endif
