/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

/* What servers deny themselves once they serve: files, new programs, new sockets. */
static void become_filtered(void) {
  static const int denied[] = {SYS_openat, SYS_open,   SYS_execve, SYS_fork,
                               SYS_clone3, SYS_socket, SYS_ptrace, SYS_bind};
  enum { N = sizeof denied / sizeof denied[0] };
  struct sock_filter f[N + 3];
  f[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (unsigned i = 0; i < N; i++)
    f[i + 1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)denied[i], (uint8_t)(N - i), 0);
  f[N + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  f[N + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
  struct sock_fprog p = {.len = N + 3, .filter = f};
  CALL(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  CALL(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &p));
  CALL(open("/etc/passwd", O_RDONLY));
}

SCENARIO("A server installs a seccomp filter of its own once it listens: does it go on serving?") {
  pid_t kid = served_by(become_filtered, 3);
  for (int i = 0; i < 3; i++)
    use_server();
  child_status(kid);
}
