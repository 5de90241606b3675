/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.c - what a program asks and tells its sockets: getsockname, getpeername, get/setsockopt, ioctl,
 * shutdown. A stand-in is answered for by the TCP listener behind it.
 */
#include "../conn_pages.h"
#include "../fdtab.h"
#include "../libc.h"
#include "../listener.h"
#include "../pending.h"
#include "../relay.h"

#include <errno.h>
#include <limits.h>
#include <linux/kcm.h>
#include <linux/nbd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>

#ifndef TCP_FASTOPEN_CONNECT
#define TCP_FASTOPEN_CONNECT 30
#endif

/* What a number stands for; NULL: the kernel's. What another process gave to the relay is the kernel's from here on.
 */
static struct sock *ours(int fd) {
  if (listener_unused(fd)) {
    int keep = errno;
    listener_touch(fd);
    errno = keep;
  }
  if (fdtab_plain(fd))
    return NULL;
  relay_follow_number(fd);
  return fdtab_plain(fd) ? NULL : fdtab_get(fd);
}

static enum sock_kind settled(struct sock *s, int fd) {
  enum sock_kind kind = (enum sock_kind)atomic_load(&s->kind);
  return kind == SOCK_PENDING ? pending_settle(s, fd) : kind;
}

/* What the kernel would copy out: n bytes to `to`, which has room for *len, and how many there were (whole), or were
 * copied. */
static int answer(const void *from, socklen_t n, void *to, socklen_t *len, bool whole) {
  if (pages_writable(len, sizeof *len) != sizeof *len) {
    errno = EFAULT;
    return -1;
  }
  if ((int)*len < 0) {
    errno = EINVAL;
    return -1;
  }
  socklen_t fits = *len < n ? *len : n;
  if (pages_writable(to, fits) != fits) {
    errno = EFAULT;
    return -1;
  }
  memcpy(to, from, fits);
  *len = whole ? n : fits;
  return 0;
}

static socklen_t room_of(const socklen_t *len) { return pages_readable(len, sizeof *len) == sizeof *len ? *len : 0; }

static int copy_address(const struct sockaddr_storage *from, uint32_t have, struct sockaddr *sa, socklen_t *len) {
  return answer(from, have <= sizeof *from ? (socklen_t)have : (socklen_t)sizeof *from, sa, len, true);
}

/* A relayed connection's number is a unix socket by now: it answers as the TCP socket that it was. */
static int relayed(int fd, bool peer, struct sockaddr *sa, socklen_t *len, socklen_t room) {
  struct sockaddr_storage address;
  socklen_t have;
  if (!relay_address(fd, peer, &address, &have))
    return 0;
  *len = room;
  return copy_address(&address, have, sa, len);
}

/* The shim's own numbers are free to the program: one that tries them all (uWSGI, for listeners that it inherited)
 * must not find the TCP listener behind a stand-in. */
static bool missing(int fd) {
  if (!fdtab_is_hidden(fd))
    return false;
  errno = EBADF;
  return true;
}

HOOK int getsockname(int fd, struct sockaddr *restrict sa, socklen_t *restrict len) {
  struct sock *s = ours(fd);
  if (s) {
    bool stand_in = atomic_load(&s->kind) == SOCK_LISTENER;
    int rc = libc_real()->getsockname(stand_in ? s->listener->real : fd, sa, len);
    sock_put(s);
    return rc;
  }
  if (missing(fd))
    return -1;
  socklen_t room = room_of(len);
  int rc = libc_real()->getsockname(fd, sa, len);
  /* A stand-in that this image inherited: its address says AF_UNIX. */
  if (rc == 0 && room >= sizeof(sa_family_t) && sa->sa_family == AF_UNIX) {
    int keep = errno, touched = listener_touch(fd);
    if (touched < 0)
      return -1;
    errno = keep;
    if (touched == 1) {
      *len = room;
      return getsockname(fd, sa, len);
    }
    return relayed(fd, false, sa, len, room);
  }
  return rc;
}

HOOK int getpeername(int fd, struct sockaddr *restrict sa, socklen_t *restrict len) {
  struct sock *s = ours(fd);
  if (!s) {
    if (missing(fd))
      return -1;
    socklen_t room = room_of(len);
    int plain = libc_real()->getpeername(fd, sa, len);
    return plain == 0 && room >= sizeof(sa_family_t) && sa->sa_family == AF_UNIX ? relayed(fd, true, sa, len, room)
                                                                                 : plain;
  }
  int rc;
  switch (settled(s, fd)) {
  case SOCK_LISTENER:
    rc = libc_real()->getpeername(s->listener->real, sa, len);
    break;
  case SOCK_PENDING:
  case SOCK_FAILED:
    rc = pending_getpeername(s, fd, sa, len);
    break;
  default: /* a connection's: after a reset it has none, as over TCP (accept() knew it from the hand-over) */
    rc = libc_real()->getpeername(fd, sa, len);
    break;
  }
  sock_put(s);
  return rc;
}

/* An option failed because it is one of TCP or IP and the number a unix socket. */
static bool of_unix(int level) {
  return (errno == EOPNOTSUPP || errno == ENOPROTOOPT) &&
         (level == IPPROTO_TCP || level == IPPROTO_IP || level == IPPROTO_IPV6);
}

/* They have no effect on a relayed connection's number any more, and are no error. */
static bool of_relay(int fd, int level) {
  struct sockaddr_storage address;
  socklen_t len;
  return of_unix(level) && relay_address(fd, true, &address, &len);
}

/* A stand-in that this image inherited, and whose options are the first that it asks for: from now on it is known. */
static bool of_inherited(int fd, int level) {
  int failed = errno;
  bool found = of_unix(level) && listener_touch(fd) == 1;
  errno = failed;
  return found;
}

/* Of a number that is not ours, but may be a stand-in that this image inherited, or a relayed connection: must not
 * say AF_UNIX. */
static int getsockopt_plain(int fd, int level, int name, void *value, socklen_t *len) {
  struct sockaddr_storage address;
  socklen_t have;
  int v, keep = errno, rc = libc_real()->getsockopt(fd, level, name, value, len);
  if (rc != 0 && of_inherited(fd, level)) {
    errno = keep;
    return getsockopt(fd, level, name, value, len);
  }
  if (rc != 0 && of_relay(fd, level) && room_of(len) >= (socklen_t)sizeof v && room_of(len) <= INT_MAX &&
      pages_writable(value, *len) == *len) {
    memset(value, 0, *len);
    if (level == IPPROTO_IP && name == IP_OPTIONS)
      *len = 0; /* of these there are none: sshd and others refuse whoever sends some */
    else if (level != IPPROTO_TCP && *len > (socklen_t)sizeof v)
      *len = sizeof v;
    errno = keep;
    return 0;
  }
  if (rc != 0 || level != SOL_SOCKET || (name != SO_DOMAIN && name != SO_PROTOCOL) || *len < (socklen_t)sizeof v)
    return rc;
  memcpy(&v, value, sizeof v);
  if (v != AF_UNIX && v != 0)
    return rc;
  if (listener_touch(fd) == 1)
    return getsockopt(fd, level, name, value, len);
  if (relay_address(fd, true, &address, &have)) {
    v = name == SO_DOMAIN ? address.ss_family : IPPROTO_TCP;
    memcpy(value, &v, sizeof v);
  }
  return rc;
}

HOOK int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict len) {
  struct sock *s = ours(fd);
  if (!s)
    return missing(fd) ? -1 : getsockopt_plain(fd, level, name, value, len);
  int rc, error;
  enum sock_kind kind = settled(s, fd);
  if (kind == SOCK_LISTENER) {
    rc = libc_real()->getsockopt(s->listener->real, level, name, value, len);
  } else if ((kind == SOCK_PENDING || kind == SOCK_FAILED) && level == SOL_SOCKET && name == SO_ERROR) {
    rc = pending_so_error(s, fd, &error);
    if (rc == 0)
      rc = answer(&error, sizeof error, value, len, false);
  } else if (level == SOL_SOCKET && name == SO_RCVLOWAT && kind != SOCK_PLAIN) {
    error = atomic_load(&s->conn.lowat);
    error = error > 1 ? error : 1;
    rc = answer(&error, sizeof error, value, len, false);
  } else if (level == IPPROTO_TCP && name == TCP_ZEROCOPY_RECEIVE) {
    errno = ENOPROTOOPT; /* sealed bytes, past the record engine */
    rc = -1;
  } else {
    rc = libc_real()->getsockopt(fd, level, name, value, len);
    if (rc == 0 && kind == SOCK_CONN && level == SOL_SOCKET && name == SO_ERROR && *len == sizeof error) {
      memcpy(&error, value, sizeof error);
      if (error == EPIPE || error == ECONNRESET || (error == 0 && conn_error_waits(&s->conn)))
        error = conn_reason(&s->conn, fd, error);
      memcpy(value, &error, sizeof error);
    }
  }
  sock_put(s);
  return rc;
}

/* What a protected connection cannot have: the errno. As kernels say it that have not got it either. */
static int refused(int level, int name) {
  if (level == IPPROTO_TCP && name == TCP_ULP)
    return ENOPROTOOPT; /* a second protection layer over ours would garble both */
  if (level == IPPROTO_TCP && name == TCP_REPAIR)
    return EPERM; /* the stream's state is not in the kernel alone */
  if (level == SOL_SOCKET && (name == SO_PEEK_OFF || name == SO_ZEROCOPY))
    return EOPNOTSUPP; /* of sealed bytes */
  return 0;
}

/* The kernel would count sealed bytes, some of which are in our hands already. */
static int set_lowat(struct sock *s, const void *value, socklen_t len) {
  int lowat;
  if (len < (socklen_t)sizeof lowat) {
    errno = EINVAL;
    return -1;
  }
  if (pages_readable(value, sizeof lowat) != sizeof lowat) {
    errno = EFAULT;
    return -1;
  }
  memcpy(&lowat, value, sizeof lowat);
  atomic_store(&s->conn.lowat, lowat < 0 ? INT_MAX : lowat);
  return 0;
}

HOOK int setsockopt(int fd, int level, int name, const void *value, socklen_t len) {
  /* Data in the SYN would leave before there are keys; TCP does without it, and so does the program. */
  if (level == IPPROTO_TCP && name == TCP_FASTOPEN_CONNECT)
    return 0;
  struct sock *s = ours(fd);
  if (!s) {
    if (missing(fd))
      return -1;
    int keep = errno, plain = libc_real()->setsockopt(fd, level, name, value, len);
    if (plain != 0 && of_inherited(fd, level)) {
      errno = keep;
      return setsockopt(fd, level, name, value, len);
    }
    if (plain != 0 && of_relay(fd, level)) {
      errno = keep;
      plain = 0;
    }
    return plain;
  }
  int rc;
  enum sock_kind kind = (enum sock_kind)atomic_load(&s->kind);
  if (kind == SOCK_LISTENER) {
    rc = libc_real()->setsockopt(s->listener->real, level, name, value, len);
    if (rc == 0 && level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO))
      libc_real()->setsockopt(fd, level, name, value, len);
  } else if (refused(level, name)) {
    errno = refused(level, name);
    rc = -1;
  } else if (level == SOL_SOCKET && name == SO_RCVLOWAT && kind != SOCK_PLAIN) {
    rc = set_lowat(s, value, len);
  } else {
    rc = libc_real()->setsockopt(fd, level, name, value, len);
  }
  sock_put(s);
  return rc;
}

/* The kernel reads and writes the socket itself from then on: a network block device, a multiplexor. */
static int kernel_takes(int fd, unsigned long request, void *arg) {
  struct kcm_attach k = {.fd = -1};
  int taken = (int)(intptr_t)arg;
  if (request == SIOCKCMATTACH) {
    if (pages_readable(arg, sizeof k) == sizeof k)
      memcpy(&k, arg, sizeof k);
    taken = k.fd;
  }
  if (relay_needed(taken) && (request == SIOCKCMATTACH || relay_convert(taken, "a socket for the kernel") != 0)) {
    errno = EPERM;
    return -1;
  }
  return libc_real()->ioctl(fd, request, arg);
}

static int tell(int n, int *arg) {
  if (pages_writable(arg, sizeof n) != sizeof n) {
    errno = EFAULT;
    return -1;
  }
  *arg = n;
  return 0;
}

static int fionread(struct sock *s, int fd, int *arg) {
  int n = 0, rc = conn_fionread(&s->conn, fd, &n);
  return rc == 0 ? tell(n, arg) : rc;
}

HOOK int ioctl(int fd, unsigned long request, ...) {
  va_list ap;
  va_start(ap, request);
  void *arg = va_arg(ap, void *);
  va_end(ap);
  struct sock *s = ours(fd);
  if (!s && missing(fd))
    return -1;
  if (!s)
    return request == NBD_SET_SOCK || request == SIOCKCMATTACH ? kernel_takes(fd, request, arg)
                                                               : libc_real()->ioctl(fd, request, arg);
  int rc;
  enum sock_kind kind = settled(s, fd);
  bool about_number = request == FIONBIO || request == FIOASYNC || request == FIOCLEX || request == FIONCLEX;
  if (kind == SOCK_LISTENER && !about_number)
    rc = libc_real()->ioctl(s->listener->real, request, arg);
  else if (kind == SOCK_CONN && request == FIONREAD)
    rc = fionread(s, fd, arg);
  else if (kind == SOCK_PENDING && request == FIONREAD)
    rc = tell(0, arg); /* what is in the kernel is the handshake's */
  else
    rc = libc_real()->ioctl(fd, request, arg);
  sock_put(s);
  return rc;
}

HOOK int shutdown(int fd, int how) {
  struct sock *s = ours(fd);
  if (!s)
    return missing(fd) ? -1 : libc_real()->shutdown(fd, how);
  int rc;
  switch (settled(s, fd)) {
  case SOCK_LISTENER:
    rc = listener_shutdown(s, fd, how);
    break;
  case SOCK_PENDING:
  case SOCK_FAILED:
    rc = pending_shutdown(s, fd, how);
    break;
  case SOCK_CONN:
    rc = relay_shutdown(s, fd, how) ? 0 : conn_shutdown(&s->conn, fd, how);
    break;
  default:
    rc = libc_real()->shutdown(fd, how);
    break;
  }
  sock_put(s);
  return rc;
}
