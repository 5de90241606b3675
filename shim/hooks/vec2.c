/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vec2.c - preadv2 and pwritev2: with offset -1 they are readv and writev on a socket, and must not pass
 * the record engine by. With any other offset a socket answers ESPIPE, as it does to pread and pwrite.
 */
#include "../fdtab.h"
#include "../libc.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/uio.h>

typedef ssize_t (*vec2_fn)(int, const struct iovec *, int, off64_t, int);

static vec2_fn real(const char *name) { return (vec2_fn)dlsym(RTLD_NEXT, name); }

/* What a managed number answers; RWF_NOWAIT and the others are not for sockets of ours. */
static ssize_t managed(int fd, const struct iovec *iov, int count, off64_t offset, int flags, bool write_it) {
  if (offset != -1) {
    errno = ESPIPE;
    return -1;
  }
  if (flags != 0) {
    errno = EOPNOTSUPP;
    return -1;
  }
  return write_it ? writev(fd, iov, count) : readv(fd, iov, count);
}

HOOK ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags) {
  return fdtab_plain(fd) ? real("preadv2")(fd, iov, count, offset, flags)
                         : managed(fd, iov, count, offset, flags, false);
}
HOOK ssize_t preadv64v2(int fd, const struct iovec *iov, int count, off64_t offset, int flags) {
  return preadv2(fd, iov, count, offset, flags);
}
HOOK ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags) {
  return fdtab_plain(fd) ? real("pwritev2")(fd, iov, count, offset, flags)
                         : managed(fd, iov, count, offset, flags, true);
}
HOOK ssize_t pwritev64v2(int fd, const struct iovec *iov, int count, off64_t offset, int flags) {
  return pwritev2(fd, iov, count, offset, flags);
}
