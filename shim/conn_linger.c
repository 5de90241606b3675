/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn_linger.c - the last close of a connection while the kernel still has bytes that the peer has no room for.
 *
 * Over TCP the kernel sends them on after close(), and the peer may end its own side meanwhile: a FIN is answered by
 * nothing. Here it says so by a close_notify, which is data, and data for a socket that nobody holds any more is
 * answered by a reset: what was still to be sent would be lost. So somebody has to hold it until all of it is
 * acknowledged (conn_stay_behind). Where nobody can, the connection is closed as it is. The same goes for a socket
 * that the program has shut down in both directions, and has still.
 */
#include "conn_int.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

int (*conn_stay_behind)(struct conn *c, int fd, int *pair);

/* Are there bytes that have not left? What has, the peer had room for. */
static bool unsent(struct conn_op *op) {
  int bytes = 0;
  return op->s->w_len > 0 ||
         (conn_sys(libc_real()->syscall(SYS_ioctl, op->fd, SIOCOUTQNSD, &bytes)) == 0 && bytes > 0);
}

/* close() is going to wait for it by itself, or to reset. */
static bool waits(int fd) {
  struct linger linger = {0};
  socklen_t len = sizeof linger;
  return conn_sys(libc_real()->syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_LINGER, &linger, &len)) == 0 &&
         linger.l_onoff;
}

bool conn_leave_behind(struct conn_op *op) {
  struct arena_slot *s = op->s;
  /* The peer has said its last already, or will say nothing: nothing of its comes that could be answered so. */
  if (!conn_stay_behind || s->r_eof == ARENA_EOF_END || s->r_done || s->w_error || !unsent(op) || waits(op->fd))
    return false;
  if (s->w_len == 0) {
    conn_send_close_notify(op, true);
    /* Nagle's algorithm and MSG_MORE hold bytes back as well: a FIN takes them along. But one that follows
     * shutdown(SHUT_RD) would have the kernel reset at whatever comes, held or not: then it is sent last. */
    if (!s->r_shut) {
      conn_sys(libc_real()->syscall(SYS_shutdown, op->fd, SHUT_WR));
      if (!unsent(op))
        return false;
    }
  }
  /* An answer may be lost: the keys are gone then all the same. */
  return conn_stay_behind(op->c, op->fd, NULL) == 0 || atomic_load(&s->state) != ARENA_LIVE;
}

/* Nagle's algorithm holds bytes back as well: they leave. */
static void push(int fd) {
  const int on = 1, off = 0;
  int nodelay = 1;
  socklen_t size = sizeof nodelay;
  const struct libc_table *libc = libc_real();
  if (libc->getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &size) == 0 && !nodelay) {
    libc->setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    libc->setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &off, sizeof off);
  }
}

/* Under both locks. */
static bool shut_behind(struct conn_op *op, int how, int *pair) {
  struct arena_slot *s = op->s;
  bool both = how == SHUT_RDWR || (how == SHUT_WR && s->r_shut) || (how == SHUT_RD && s->w_shut);
  if (!both || !unsent(op))
    return false;
  push(op->fd);
  if (!unsent(op) || s->w_error || s->w_len > 0)
    return false;
  if (!s->r_error && conn_fill(op) > 0)
    return false; /* bytes that nobody has read */
  if (s->r_error || s->r_eof == ARENA_EOF_END || s->r_done)
    return false;
  conn_send_close_notify(op, true);
  return conn_stay_behind(op->c, op->fd, pair) == 0;
}

bool conn_shut_behind(struct conn *c, int fd, int how, int *pair) {
  struct conn_op op;
  int keep = errno;
  bool done = false;
  if (conn_stay_behind && atomic_load(&c->slot->holders) == 1 && conn_begin(&op, c, fd) == 0) {
    if (conn_lock_read(&op) == 0) {
      if (conn_nest_write(&op, false) == 0) {
        done = shut_behind(&op, how, pair);
        conn_unnest_write(&op);
      }
      conn_unlock_read(&op);
    }
    conn_end(&op);
  }
  errno = keep;
  return done;
}
