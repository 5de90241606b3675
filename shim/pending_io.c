/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pending_io.c - what a program may do with a socket whose connect() is pending or has failed.
 *
 * Each answer is the one that Linux gives for TCP in SYN_SENT or after a failed connect() (measured; the
 * unit test runs both). A byte of the program never reaches the TCP socket from here.
 */
#include "pending_int.h"

#include "conn_pages.h"
#include "epollreg.h"
#include "libc.h"
#include "plain.h"
#include "shared.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>

#ifndef TCP_FASTOPEN_CONNECT
#define TCP_FASTOPEN_CONNECT 30
#endif

static int fail(int err) {
  errno = err;
  return -1;
}

/* -- connect() again -- */

/* connect(AF_UNSPEC), or an error that connect() has now reported: the socket is as fresh. */
static int make_fresh(struct sock *s, struct pending *p, int fd) {
  lock_signals saved, inner;
  lock_take(&pending_gate, &saved);
  lock_take(&s->lock, &inner);
  bool mine = s->pending == p && !p->closed;
  bool was_pending = mine && atomic_load(&s->kind) == SOCK_PENDING;
  int rc = mine && pending_disconnect(fd) ? 0 : -1;
  int failed = errno;
  if (rc == 0) {
    if (was_pending) {
      atomic_store(&s->kind, SOCK_FAILED);
      atomic_fetch_sub(&pending_count, 1);
      if (cell_begin(p->cell) == CELL_OPEN)
        cell_failed(p->cell, ECONNRESET);
      cell_drop(p->cell);
    }
    s->pending = NULL;
  }
  lock_drop(&s->lock, &inner);
  lock_drop(&pending_gate, &saved);
  if (rc != 0)
    return fail(mine ? failed : EBADF);
  if (was_pending)
    epollreg_back(p, true);
  pending_unmanage(s, fd);
  int reply = pending_reply(p);
  if (reply >= 0)
    libc_real()->shutdown(reply, SHUT_RDWR); /* the daemon stops, and so does a thread that waits here */
  pending_unpin(p);
  return 0;
}

/* TCP failed, and the number is the kernel's again. Other processes may hold the socket, too, and one of them may be
 * connecting it: then it is not ours to ask. */
static bool is_fresh(int fd) { return fdtab_plain(fd) || (shared_is(fd) && shared_is_closed(fd)); }

int pending_result(struct sock *s, struct pending *p, int fd) {
  int keep = errno;
  if (p->closed)
    return fail(EBADF);
  if (atomic_load(&s->kind) == SOCK_CONN) {
    conn_connect0(&s->conn, false);
    errno = keep;
    return 0;
  }
  if (p->plain) { /* the kernel says it; where it has told us already, EISCONN is what it says now */
    int rc = libc_real()->connect(fd, (const struct sockaddr *)&p->dest, p->dest_len);
    if (rc != 0 && errno != EISCONN)
      return -1;
    errno = keep;
    return 0;
  }
  int err = 0;
  struct pending *now = pending_pin(s);
  if (now)
    pending_unpin(now); /* compared only */
  if (now == p) {
    make_fresh(s, p, fd); /* first: it leaves an error of its own in the kernel */
    err = pending_take_error(s, p, fd);
  } else if (is_fresh(fd)) {
    /* TCP failed, and the kernel knows why. Taking the error leaves the socket as fresh, as in the kernel. */
    socklen_t len = sizeof err;
    libc_real()->getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
    pending_disconnect(fd);
  }
  return fail(err > 0 ? err : ECONNABORTED);
}

static int connect_while_pending(struct sock *s, struct pending *p, int fd) {
  int flags = libc_real()->fcntl(fd, F_GETFL);
  if (flags < 0)
    return -1;
  if (flags & O_NONBLOCK)
    return fail(EALREADY);
  int rc = pending_wait(s, p, fd, pending_socket_timeout(fd, SO_SNDTIMEO));
  if (rc == 0)
    return pending_result(s, p, fd);
  return fail(rc == -ETIMEDOUT ? EALREADY : -rc);
}

/* connect(AF_UNSPEC) on an authenticated connection ends it by a reset, and the number is plain TCP again: in this
 * order, so that no other thread's write finds a plain number while TCP is still connected. */
static int disconnect_conn(struct sock *s, int fd) {
  if (atomic_load(&s->fds) != 1)
    return fail(EOPNOTSUPP); /* the other numbers would go on believing */
  if (!pending_disconnect(fd))
    return -1;
  uint8_t flags = atomic_exchange(&fdtab_flags[fd], 0);
  fdtab_fresh(fd); /* there is nothing to send any more, and ECONNRESET is the program's to fetch */
  atomic_store(&fdtab_flags[fd], flags);
  return 0;
}

int pending_connect_again(struct sock *s, int fd, const struct sockaddr *sa, socklen_t len) {
  if (!sa)
    return fail(EFAULT);
  if (len < (socklen_t)sizeof sa->sa_family)
    return fail(EINVAL);
  bool unspec = sa->sa_family == AF_UNSPEC;
  enum sock_kind kind = pending_settle(s, fd);
  if (kind == SOCK_CONN) {
    if (unspec)
      return disconnect_conn(s, fd);
    return conn_connect0(&s->conn, false) ? 0 : fail(EISCONN);
  }
  if (kind == SOCK_PLAIN)
    return libc_real()->connect(fd, sa, len);
  struct pending *p = pending_pin(s);
  if (!p)
    return is_fresh(fd) ? pending_hook_connect(fd, sa, len) : fail(ECONNABORTED);
  int rc;
  if (unspec)
    rc = make_fresh(s, p, fd);
  else if (kind == SOCK_FAILED)
    rc = pending_result(s, p, fd);
  else
    rc = connect_while_pending(s, p, fd);
  pending_unpin(p);
  return rc;
}

/* -- asked for its state -- */

int pending_getpeername(struct sock *s, int fd, struct sockaddr *sa, socklen_t *len) {
  enum sock_kind kind = pending_settle(s, fd);
  if (kind == SOCK_CONN || kind == SOCK_PLAIN || fdtab_plain(fd))
    return libc_real()->getpeername(fd, sa, len);
  return fail(ENOTCONN);
}

int pending_so_error(struct sock *s, int fd, int *error) {
  socklen_t len = sizeof *error;
  enum sock_kind kind = pending_settle(s, fd);
  *error = 0;
  if (kind == SOCK_PENDING)
    return 0; /* reading it would take from the kernel what it has yet to say */
  struct pending *p = kind == SOCK_FAILED ? pending_pin(s) : NULL;
  if (!p)
    return libc_real()->getsockopt(fd, SOL_SOCKET, SO_ERROR, error, &len);
  *error = pending_take_error(s, p, fd);
  pending_unpin(p);
  return 0;
}

/* -- read and write -- */

/* After a failed connect(): the error once, then end of file or EPIPE. */
static ssize_t failed_io(struct sock *s, int fd, bool write, int flags) {
  struct pending *p = pending_pin(s);
  int err = p ? pending_take_error(s, p, fd) : 0;
  char nothing;
  if (p)
    pending_unpin(p);
  if (err > 0)
    return fail(err);
  if (p && !write)
    return 0;
  if (p) {
    /* No byte to send: the kernel answers EPIPE for a socket that is shut down, with its SIGPIPE. */
    ssize_t n = libc_real()->send(fd, &nothing, 0, flags & MSG_NOSIGNAL);
    return n < 0 ? n : fail(EPIPE);
  }
  /* TCP is closed and plain: as natively. Nothing can be read, and nothing is sent. */
  return write ? libc_real()->send(fd, &nothing, 0, flags & MSG_NOSIGNAL)
               : libc_real()->recv(fd, &nothing, 1, MSG_DONTWAIT | MSG_PEEK);
}

ssize_t pending_io(struct sock *s, int fd, bool write, int flags) {
  enum sock_kind kind = pending_settle(s, fd);
  if (kind == SOCK_PENDING) {
    int status = libc_real()->fcntl(fd, F_GETFL);
    if (status < 0)
      return -1;
    if ((status & O_NONBLOCK) || (flags & MSG_DONTWAIT))
      return fail(EAGAIN);
    struct pending *p = pending_pin(s);
    int rc = p ? pending_wait(s, p, fd, pending_socket_timeout(fd, write ? SO_SNDTIMEO : SO_RCVTIMEO)) : 0;
    if (p)
      pending_unpin(p);
    if (rc != 0)
      return fail(rc == -ETIMEDOUT ? EAGAIN : -rc);
    kind = (enum sock_kind)atomic_load(&s->kind);
  }
  return kind == SOCK_CONN || kind == SOCK_PLAIN ? 0 : failed_io(s, fd, write, flags);
}

int pending_shutdown(struct sock *s, int fd, int how) {
  enum sock_kind kind = pending_settle(s, fd);
  struct pending *p = pending_pin(s);
  if (kind == SOCK_CONN || !p) {
    if (p)
      pending_unpin(p);
    return kind == SOCK_CONN ? conn_shutdown(&s->conn, fd, how) : libc_real()->shutdown(fd, how);
  }
  int rc;
  if (how < SHUT_RD || how > SHUT_RDWR)
    rc = fail(EINVAL);
  else if (kind == SOCK_PENDING)
    rc = make_fresh(s, p, fd); /* in SYN_SENT shutdown() disconnects, whatever it is asked; SO_ERROR: ECONNRESET */
  else
    rc = libc_real()->shutdown(fd, how);
  pending_unpin(p);
  return rc;
}

/* -- TCP Fast Open: data in the SYN would leave before there are keys -- */

bool pending_swallow_sockopt(int level, int opt) { return level == IPPROTO_TCP && opt == TCP_FASTOPEN_CONNECT; }

int pending_fastopen(int fd, const struct sockaddr *sa, socklen_t len) {
  struct rules_entry rule;
  struct rules_hosts hosts;
  int keep = errno, rc;
  if (len < (socklen_t)sizeof sa->sa_family || len > (socklen_t)sizeof(struct sockaddr_storage) ||
      pages_readable(sa, len) != len)
    return 0; /* the kernel says what is wrong with it */
  if (fdtab_plain(fd)) {
    int managed = plain_under_way(fd) ? 0 : session_match_connect(sa, len, &hosts, &rule);
    if (managed < 0)
      return -1;
    errno = keep;
    if (managed == 0)
      return 0;
    uint32_t why = plain_why(&rule);
    if (why) {
      if (plain_ask(fd, &rule, why, sa, len, &hosts) != 0)
        return -1;
      if ((unsigned)fd < FDTAB_MAX)
        atomic_fetch_or(&fdtab_flags[fd], FDF_PLAIN);
      plain_tell(fd, &rule, why, sa, len, &hosts);
      return 0;
    }
    rc = pending_connect_protected(fd, sa, len, &rule, &hosts);
  } else {
    rc = pending_hook_connect(fd, sa, len);
  }
  if (rc != 0 && errno != EISCONN)
    return -1;
  errno = keep;
  return 1;
}
