/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.h - what the reading and writing hooks share: from a number to whoever answers for it.
 */
#ifndef SHIM_HOOKS_IO_H
#define SHIM_HOOKS_IO_H

#include "../fdtab.h"
#include "../libc.h"

#include <errno.h>

/* recv() and send() with any number of buffers, on a number that is not plain. flags as theirs; SIGPIPE
 * as theirs. */
ssize_t io_recv(int fd, const struct iovec *iov, size_t cnt, int flags);
ssize_t io_send(int fd, const struct iovec *iov, size_t cnt, int flags);

/* Is the program's memory readable here? Else false and EFAULT, as the kernel says it. */
bool io_there(const void *p, size_t n);

/* The connection behind fd, pinned (*s: give it back with sock_put), once a pending connect() is settled.
 * 1: it is one; 0: fd is *real_fd's affair (a listener's TCP socket, or a number that became plain; *s may
 * be pinned and has to be put back); -1 and errno, or the end of stream of a failed connect (*eof). */
int io_route(int fd, bool write, int flags, struct sock **s, int *real_fd, bool *eof);

#endif
