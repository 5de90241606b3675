/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.c - a BIO over a socket that belongs to somebody else.
 *
 * It never blocks (MSG_DONTWAIT), never changes the file status flags, which the program shares, and never reads a
 * byte that OpenSSL did not ask for: what follows the handshake stays in the kernel.
 */
#include "internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* The largest flight is our certificate chain and little else. */
#define OUT_MAX (256u * 1024u)

/* A peer that speaks TLS begins with a handshake record; a server may also begin with an alert. Looking at the first
 * bytes ourselves means that "PING" is answered at once and not when five bytes have come. */
static bool begins_like_tls(const struct handshake_io *io) {
  bool type = io->first[0] == SSL3_RT_HANDSHAKE || (io->role == ARENA_CLIENT && io->first[0] == SSL3_RT_ALERT);
  return type && (io->first_len < 2 || io->first[1] == SSL3_VERSION_MAJOR);
}

static void remember_first(struct handshake_io *io, const void *data, size_t n) {
  size_t room = sizeof io->first - io->first_len;
  if (n > room)
    n = room;
  memcpy(io->first + io->first_len, data, n);
  io->first_len = (uint8_t)(io->first_len + n);
}

/* The kernel tells an error of a connection once, and where the program made the connection it is the program that
 * has to learn of it: its poll() shows POLLERR only while nobody has been told. */
static bool lost(const struct handshake_io *io) {
  struct pollfd p = {.fd = io->fd, .events = 0};
  int waiting = 0;
  return io->role == ARENA_CLIENT && poll(&p, 1, 0) == 1 && (p.revents & POLLERR) &&
         ioctl(io->fd, FIONREAD, &waiting) == 0 && waiting == 0;
}

static int io_read(BIO *bio, char *buf, int want) {
  struct handshake_io *io = BIO_get_data(bio);
  ssize_t n;
  BIO_clear_retry_flags(bio);
  if (want <= 0 || io->foreign)
    return -1;
  if (lost(io)) {
    io->error = ECONNRESET; /* nothing else ends a connection that is as young as this */
    return -1;
  }
  do
    n = recv(io->fd, buf, (size_t)want, MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  if (n == 0) {
    io->eof = true;
    return 0;
  }
  if (n < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK)
      BIO_set_retry_read(bio);
    else
      io->error = errno;
    return -1;
  }
  if (io->first_len < sizeof io->first)
    remember_first(io, buf, (size_t)n);
  io->received += (uint64_t)n;
  if (!begins_like_tls(io)) {
    io->foreign = true;
    return -1;
  }
  return (int)n;
}

static bool reserve(struct handshake_io *io, size_t more) {
  size_t need = io->out_len + more;
  if (need <= io->out_cap)
    return true;
  if (need > OUT_MAX)
    return false;
  size_t cap = io->out_cap ? io->out_cap : 4096;
  while (cap < need)
    cap *= 2;
  uint8_t *grown = realloc(io->out, cap);
  if (!grown)
    return false;
  io->out = grown;
  io->out_cap = cap;
  return true;
}

int handshake_io_append(struct handshake_io *io, const void *data, size_t len) {
  if (!reserve(io, len))
    return -1;
  memcpy(io->out + io->out_len, data, len);
  io->out_len += len;
  return 0;
}

static int io_write(BIO *bio, const char *buf, int len) {
  struct handshake_io *io = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  if (len <= 0 || io->muted)
    return len;
  if (handshake_io_append(io, buf, (size_t)len) != 0) {
    io->error = ENOMEM;
    return -1;
  }
  return len;
}

/* A program may have corked the socket before connect(), or the listener it comes from, as FTP servers do: the kernel
 * would keep each flight for 200 ms. Taking the cork out sends; it goes back in at once, for the option is the
 * program's. */
static void uncork(int fd) {
  const int on = 1, off = 0;
  int corked = 0;
  socklen_t len = sizeof corked;
  if (getsockopt(fd, IPPROTO_TCP, TCP_CORK, &corked, &len) != 0 || !corked)
    return;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof off);
  (void)setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
}

int handshake_io_flush(struct handshake_io *io) {
  bool any = io->out_off < io->out_len;
  while (io->out_off < io->out_len) {
    ssize_t n = send(io->fd, io->out + io->out_off, io->out_len - io->out_off, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0)
      io->out_off += (size_t)n;
    else if (errno == EAGAIN || errno == EWOULDBLOCK)
      return 0;
    else if (errno != EINTR) {
      io->error = errno;
      return -1;
    }
  }
  io->out_off = io->out_len = 0;
  if (any)
    uncork(io->fd);
  return 1;
}

void handshake_io_mute(struct handshake_io *io) {
  io->muted = true;
  io->out_off = io->out_len = 0;
}

void handshake_io_free(struct handshake_io *io) {
  free(io->out);
  io->out = NULL;
  io->out_off = io->out_len = io->out_cap = 0;
}

static long io_ctrl(BIO *bio, int cmd, long num, void *ptr) {
  struct handshake_io *io = BIO_get_data(bio);
  (void)num;
  (void)ptr;
  switch (cmd) {
  case BIO_CTRL_FLUSH: {
    BIO_clear_retry_flags(bio);
    int rc = handshake_io_flush(io);
    if (rc == 0)
      BIO_set_retry_write(bio);
    return rc == 1 ? 1 : -1;
  }
  case BIO_CTRL_EOF:
    return io->eof;
  default:
    return 0;
  }
}

static BIO_METHOD *method;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_method(void) {
  method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "svidwrap socket");
  if (method && !(BIO_meth_set_read(method, io_read) && BIO_meth_set_write(method, io_write) &&
                  BIO_meth_set_ctrl(method, io_ctrl))) {
    BIO_meth_free(method);
    method = NULL;
  }
}

BIO *handshake_io_bio(struct handshake_io *io) {
  pthread_once(&once, make_method);
  BIO *bio = method ? BIO_new(method) : NULL;
  if (bio) {
    BIO_set_data(bio, io);
    BIO_set_init(bio, 1);
  }
  return bio;
}
