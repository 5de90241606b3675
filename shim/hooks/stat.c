/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stat.c - fstat() of a connection that the relay has: its number is a unix socket by now, and answers with the inode
 * that it had as a TCP socket. Dovecot's login processes tell the next one by it which descriptor they pass on.
 */
#include "../libc.h"
#include "../relay.h"

#include <sys/stat.h>

HOOK int fstat(int fd, struct stat *st) {
  uint32_t inode;
  int rc = libc_real()->fstat(fd, st);
  if (rc == 0 && S_ISSOCK(st->st_mode) && relay_inode(fd, &inode))
    st->st_ino = inode;
  return rc;
}

/* The layouts are one on the machines that we know. */
HOOK int fstat64(int fd, struct stat64 *st) { return fstat(fd, (struct stat *)st); }
HOOK int __fxstat(int version, int fd, struct stat *st);
HOOK int __fxstat(int version, int fd, struct stat *st) {
  (void)version;
  return fstat(fd, st);
}
HOOK int __fxstat64(int version, int fd, struct stat64 *st);
HOOK int __fxstat64(int version, int fd, struct stat64 *st) {
  (void)version;
  return fstat(fd, (struct stat *)st);
}
