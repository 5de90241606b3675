/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io_file.c - sendfile and splice on a connection. The kernel would put the file's bytes on the wire as they
 * are; here they go through the record engine, by way of a buffer.
 */
#include "io.h"

#include "../conn_int.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHUNK        65536u
#define SPLICE_CHUNK 16384u

static ssize_t fail(int err) {
  errno = err;
  return -1;
}

/* Reads at `at`, writes what was read; stops at the first short write. Bytes written, or -1 and errno. */
static ssize_t copy_file(struct conn *c, int out, int in, off64_t at, size_t count) {
  uint8_t *buf = conn_scratch_get();
  size_t done = 0;
  ssize_t rc = 0;
  if (!buf)
    return fail(ENOMEM);
  while (done < count) {
    size_t want = count - done < CHUNK ? count - done : CHUNK;
    ssize_t got = pread64(in, buf, want, at + (off64_t)done);
    if (got <= 0) {
      rc = got;
      if (got < 0 && (errno == ESPIPE || errno == EISDIR || errno == ENXIO))
        errno = EINVAL;
      break;
    }
    struct iovec iov = {buf, (size_t)got};
    rc = conn_writev(c, out, &iov, 1, 0);
    if (rc < 0)
      break;
    done += (size_t)rc;
    if (rc < got)
      break;
  }
  conn_scratch_put(buf);
  return done ? (ssize_t)done : rc;
}

static ssize_t send_file(int out, int in, off64_t *offset, size_t count) {
  struct sock *s;
  int real_fd;
  bool eof;
  if (!fdtab_plain(in)) /* the kernel takes no socket to send from */
    return fail(fdtab_is_hidden(in) ? EBADF : EINVAL);
  int route = io_route(out, true, 0, &s, &real_fd, &eof);
  if (route < 0)
    return -1;
  ssize_t n;
  if (route == 0) {
    n = libc_real()->sendfile64(real_fd, in, offset, count);
  } else {
    int keep = errno;
    off64_t at = offset ? *offset : lseek64(in, 0, SEEK_CUR);
    if (at < 0)
      n = fail(EINVAL);
    else
      n = count ? copy_file(&s->conn, out, in, at, count < 0x7ffff000 ? count : 0x7ffff000) : 0;
    if (n > 0 && offset)
      *offset = at + n;
    else if (n > 0)
      lseek64(in, at + n, SEEK_SET);
    if (n >= 0)
      errno = keep;
  }
  if (s)
    sock_put(s);
  return n;
}

HOOK ssize_t sendfile(int out, int in, off_t *offset, size_t count) {
  if (fdtab_plain(out) && fdtab_plain(in))
    return libc_real()->sendfile(out, in, offset, count);
  return send_file(out, in, offset, count);
}

HOOK ssize_t sendfile64(int out, int in, off64_t *offset, size_t count) {
  if (fdtab_plain(out) && fdtab_plain(in))
    return libc_real()->sendfile64(out, in, offset, count);
  return send_file(out, in, offset, count);
}

static bool ready(int fd, short events, bool wait) {
  struct pollfd p = {.fd = fd, .events = events};
  return libc_real()->poll(&p, 1, wait ? -1 : 0) > 0;
}

static bool is_nonblocking(int fd, unsigned flags) {
  int fl = libc_real()->fcntl(fd, F_GETFL);
  return (flags & SPLICE_F_NONBLOCK) || fl < 0 || (fl & O_NONBLOCK);
}

/* From the connection into a pipe: looked at first, and only what the pipe took is taken. */
static ssize_t splice_in(struct conn *c, int in, int out, size_t len, unsigned flags) {
  if (!ready(out, POLLOUT, !is_nonblocking(out, flags)))
    return fail(EAGAIN);
  uint8_t byte;
  struct iovec one = {&byte, 1}, none = {NULL, 0};
  ssize_t n = conn_readv(c, in, &one, 1, MSG_PEEK | (flags & SPLICE_F_NONBLOCK ? MSG_DONTWAIT : 0));
  uint8_t *buf = n > 0 ? conn_scratch_get() : NULL;
  if (!buf)
    return n > 0 ? fail(ENOMEM) : n;
  /* PIPE_BUF: a pipe with room for it takes it whole. */
  struct iovec iov = {buf, len < PIPE_BUF ? len : PIPE_BUF};
  n = conn_readv(c, in, &iov, 1, MSG_PEEK | MSG_DONTWAIT);
  if (n > 0)
    n = libc_real()->write(out, buf, (size_t)n);
  conn_scratch_put(buf);
  if (n > 0) {
    none.iov_len = (size_t)n;
    conn_readv(c, in, &none, 1, MSG_TRUNC | MSG_DONTWAIT);
  }
  return n;
}

/* From a pipe into the connection. What left the pipe is written, if need be into the slot's buffer. */
static ssize_t splice_out(struct conn *c, int in, int out, size_t len, unsigned flags) {
  if (is_nonblocking(out, flags)) {
    int rc = conn_flush(c, out);
    if (rc < 0)
      return -1;
    if (rc > 0 || !ready(out, POLLOUT, false))
      return fail(EAGAIN);
  }
  if (is_nonblocking(in, flags) && !ready(in, POLLIN, false))
    return fail(EAGAIN);
  uint8_t *buf = conn_scratch_get();
  if (!buf)
    return fail(ENOMEM);
  ssize_t n = libc_real()->read(in, buf, len < SPLICE_CHUNK ? len : SPLICE_CHUNK);
  if (n > 0) {
    struct iovec iov = {buf, (size_t)n};
    while ((n = conn_writev(c, out, &iov, 1, CONN_KEEP)) < 0 && errno == EAGAIN)
      ready(out, POLLOUT, true); /* another thread was in between; the bytes are out of the pipe */
  }
  conn_scratch_put(buf);
  return n;
}

HOOK ssize_t splice(int in, off64_t *off_in, int out, off64_t *off_out, size_t len, unsigned flags) {
  if (fdtab_plain(in) && fdtab_plain(out))
    return libc_real()->splice(in, off_in, out, off_out, len, flags);
  bool outward = fdtab_plain(in);
  struct sock *s;
  int real_fd;
  bool eof;
  if (!outward && !fdtab_plain(out)) /* two sockets: the kernel wants a pipe in between */
    return fail(EINVAL);
  if (outward ? off_out != NULL : off_in != NULL)
    return fail(ESPIPE);
  int route = io_route(outward ? out : in, outward, 0, &s, &real_fd, &eof);
  if (route < 0)
    return eof ? 0 : -1;
  ssize_t n;
  if (route == 0)
    n = libc_real()->splice(outward ? in : real_fd, off_in, outward ? real_fd : out, off_out, len, flags);
  else if (len == 0)
    n = 0;
  else if (libc_real()->fcntl(outward ? in : out, F_GETPIPE_SZ) < 0)
    n = fail(errno == EBADF ? EBADF : EINVAL);
  else if (outward ? off_in != NULL : off_out != NULL)
    n = fail(ESPIPE);
  else
    n = outward ? splice_out(&s->conn, in, out, len, flags) : splice_in(&s->conn, in, out, len, flags);
  if (s)
    sock_put(s);
  return n;
}
