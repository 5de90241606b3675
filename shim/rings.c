/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rings.c - is io_uring within this process's reach? Under a bare LD_PRELOAD without privileges the seccomp filter
 * cannot be installed, and a ring may be there that was made before us, or inherited. It shows among the descriptors,
 * unless its number was closed after it was mapped.
 */
#include "rings.h"

#include "guard.h"
#include "libc.h"
#include "svidwrap/wire.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool is_ring(int dir, const char *name) {
  static const char ring[] = "anon_inode:[io_uring]";
  char to[sizeof ring];
  ssize_t n = readlinkat(dir, name, to, sizeof to);
  return n == (ssize_t)sizeof ring - 1 && memcmp(to, ring, sizeof ring - 1) == 0;
}

static bool ring_open(void) {
  _Alignas(struct dirent64) char buf[2048];
  bool found = false;
  int dir = (int)libc_real()->syscall(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0)
    return false;
  for (long n; !found && (n = libc_real()->syscall(SYS_getdents64, dir, buf, sizeof buf)) > 0;) {
    for (long at = 0; !found && at < n;) {
      const struct dirent64 *d = (const struct dirent64 *)(const void *)(buf + at);
      found = is_ring(dir, d->d_name);
      at += d->d_reclen;
    }
  }
  libc_real()->close(dir);
  return found;
}

uint32_t rings_state(void) {
  int keep = errno;
  uint32_t state = guard_active() ? 0 : WIRE_HELLO_RINGS | (ring_open() ? WIRE_HELLO_RING_OPEN : 0u);
  errno = keep;
  return state;
}
