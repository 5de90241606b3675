/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn_shut.c - the end of a connection, as plain TCP shows it: shutdown(), and errors that are told once.
 *
 * The kernel keeps one error for a socket that was reset. Whoever asks first is told (a read, a write, SO_ERROR);
 * after that reads are at their end and writes are EPIPE. Where we took it from the kernel too early, because a read
 * had bytes to return first (the reset came between two looks), it waits in the slot (r_error with r_gone).
 * Otherwise it is left where it is: poll(), select() and epoll tell of it as long as nobody was told.
 *
 * What is never made up for: a stream that ended without a close_notify is told by a read, whatever else was told,
 * unless the rule says `truncation: eof`.
 */
#include "conn_int.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

void conn_told(struct arena_slot *s) {
  s->r_error = s->r_gone = 0;
  s->r_eof = ARENA_EOF_END;
}

int conn_kernel_error(int fd) {
  int err = 0;
  socklen_t len = sizeof err;
  conn_sys(libc_real()->syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, &err, &len));
  return err;
}

bool conn_only_error(int fd) {
  int queued = 0;
  return (conn_sys_poll(fd, 0, 0) & POLLERR) &&
         conn_sys(libc_real()->syscall(SYS_ioctl, fd, FIONREAD, &queued)) == 0 && queued == 0;
}

bool conn_error_waits(const struct conn *c) {
  return c->slot && c->slot->use == c->use && c->slot->r_gone && c->slot->r_error;
}

int conn_waiting_error(struct conn_op *op) {
  struct arena_slot *s = op->s;
  int err = s->r_gone ? s->r_error : 0;
  if (err && (s->flags & ARENA_TRUNCATION_EOF))
    conn_told(s);
  return err;
}

/* What was sealed gets a second to leave, as SO_LINGER would give it. Nothing is held meanwhile. */
void conn_flush_at_end(struct conn *c, int fd) {
  uint64_t until = conn_now_ms() + 1000, now;
  while (c->slot->w_len != 0 && conn_flush(c, fd) == 1 && (now = conn_now_ms()) < until)
    if (conn_sys_poll(fd, POLLOUT, (int)(until - now)) == 0)
      break;
}

/* A socket that reads no more answers a FIN with silence and a close_notify, which is data, with a reset: its own
 * program or ours would see an error that TCP does not have. So who will read nothing more says so, by one byte of
 * padding in its close_notify (RFC 8446 section 5.4; to others it means nothing), and is sent none.
 * It leaves in one segment with the FIN that follows (MSG_MORE): a thread of the peer's that waits would wake up
 * between the two, and see an end without its POLLHUP or POLLRDHUP. */
void conn_send_close_notify(struct conn_op *op, bool final) {
  static const uint8_t plain[] = {1, ALERT_CLOSE_NOTIFY}, padded[] = {1, ALERT_CLOSE_NOTIFY, RECORD_ALERT};
  struct arena_slot *s = op->s;
  if (s->w_shut || s->w_error)
    return;
  if (!s->r_done && conn_flush_locked(op) == 0) {
    if (final) /* the type goes where content goes, and a zero where the type would */
      conn_send_control(op, 0, padded, sizeof padded, MSG_MORE);
    else
      conn_send_control(op, RECORD_ALERT, plain, sizeof plain, MSG_MORE);
  }
  s->w_shut = 1;
}

static uint8_t tcp_state(int fd) {
  uint8_t state = 0; /* struct tcp_info begins with it */
  socklen_t len = sizeof state;
  conn_sys(libc_real()->syscall(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO, &state, &len));
  return state;
}

static bool is_closed(int fd) { return tcp_state(fd) == TCP_CLOSE; }

void conn_end_reads(int fd) {
  uint8_t state = tcp_state(fd);
  if (state != TCP_CLOSE_WAIT && state != TCP_CLOSING && state != TCP_LAST_ACK && state != TCP_CLOSE)
    conn_sys(libc_real()->syscall(SYS_shutdown, fd, SHUT_RD));
}

/* Sends a close_notify that the kernel keeps room for; it never waits. */
static int shut_write(struct conn_op *op) {
  int rc = conn_lock_write(op);
  if (rc)
    return rc;
  conn_send_close_notify(op, op->s->r_shut);
  conn_unlock_write(op);
  return 0;
}

/* shut: the program reads no more. Looks for the peer's close_notify as well, which may say the same. */
static void shut_read(struct conn_op *op, bool shut) {
  struct arena_slot *s = op->s;
  if (conn_lock_read(op) == 0) {
    if (!s->r_eof && !s->r_error && conn_fill(op) > 0) {
      conn_available(op);
      if (!s->r_done && tcp_state(op->fd) == TCP_CLOSE_WAIT)
        conn_look_to_the_end(op);
    }
    s->r_shut |= shut;
    conn_unlock_read(op);
  }
}

bool conn_connect0(struct conn *c, bool next) {
  struct conn_op op;
  if (conn_begin(&op, c, -1) != 0)
    return false;
  bool was = atomic_exchange(&op.s->connect0, next);
  conn_end(&op);
  return was;
}

int conn_shutdown(struct conn *c, int fd, int how) {
  struct conn_op op;
  int keep = errno;
  bool open = !is_closed(fd), begun = conn_begin(&op, c, fd) == 0;
  if (begun && open && how >= SHUT_RD && how <= SHUT_RDWR)
    shut_read(&op, how != SHUT_WR);
  if (begun && open && (how == SHUT_WR || how == SHUT_RDWR)) {
    conn_flush_at_end(c, fd);
    shut_write(&op);
  }
  /* The kernel has the last word, on a bad `how` and on a connection that is gone as well. */
  int rc = libc_real()->shutdown(fd, how);
  if (begun) {
    atomic_store(&op.s->connect0, 0);
    /* The peer's close_notify may be behind data that nobody has read. */
    if (open && how != SHUT_RD && is_closed(fd))
      conn_kernel_error(fd);
    if (rc != 0 && errno == ENOTCONN && open)
      rc = 0;
    conn_end(&op);
  }
  if (rc == 0)
    errno = keep;
  return rc;
}
