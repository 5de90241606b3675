/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn_read.c - from the kernel's receive queue into the program's buffers.
 *
 * One recv() of at most len + 22 bytes: the content of every complete record in it fits what the program
 * asked for, so it is opened straight into its memory. A record that arrived in part is taken out of the
 * kernel (a level-triggered loop must not spin on it); one that is larger than the program's buffer leaves
 * its last byte there, so that the socket stays readable while plaintext waits.
 *
 * A read that returns less than it was asked for has emptied the kernel's queue: edge-triggered programs
 * rely on it, as epoll(7) tells them to.
 */
#include "conn_int.h"

#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

/* Errors of recv() that say something about the call and nothing about the connection. */
static bool passing(int err) {
  return err == EAGAIN || err == EINTR || err == EBADF || err == ENOTSOCK || err == EFAULT || err == ENOMEM ||
         err == ENOBUFS;
}

int conn_recv_failed(struct conn_op *op, long n) {
  struct arena_slot *s = op->s;
  if (n < 0) {
    if (!passing((int)-n)) {
      s->r_error = (int)-n; /* the kernel tells once, and may be telling while data is on its way out */
      s->r_gone = 1;
    }
    return (int)n;
  }
  if (s->r_shut) {
    s->r_eof = ARENA_EOF_SHUT;
    return 0;
  }
  if ((s->flags & ARENA_TRUNCATION_EOF) && !s->r_have && !s->r_hs_have && !s->r_hs_skip) {
    s->r_eof = ARENA_EOF_END;
    return 0;
  }
  s->r_error = ECONNRESET; /* no close_notify: somebody may have cut the stream */
  return -ECONNRESET;
}

void conn_drop_last(struct conn_op *op) {
  conn_sys_recv(op->fd, NULL, 1, MSG_TRUNC);
  op->s->r_last = 0;
}

void conn_punch(struct conn_op *op) {
  struct arena_slot *s = op->s;
  if (!s->r_dirty || s->r_have || s->r_len)
    return;
  uint64_t now = conn_now_ms();
  if (op->c->punched_ms && now - op->c->punched_ms < 1000)
    return;
  op->c->punched_ms = now;
  if (madvise(arena_rbuf(s), ARENA_RBUF, MADV_REMOVE) == 0)
    s->r_dirty = 0;
}

/* Hands out plaintext that waits in the read buffer. 0, or -EFAULT: it waits on. */
static int deliver(struct conn_op *op, struct conn_cursor *cur) {
  struct arena_slot *s = op->s;
  uint32_t n = cur->left < s->r_len ? (uint32_t)cur->left : s->r_len;
  if (!conn_cursor_writable(cur, n))
    return -EFAULT;
  conn_cursor_copy(cur, arena_rbuf(s) + s->r_off, n);
  s->r_off += n;
  s->r_len -= n;
  return 0;
}

/* The program's memory is bad where the content of a record that was taken out of the kernel would go, though it was
 * good at both ends: what is opened already waits for a call that has room for it. */
static int keep(struct conn_op *op, const uint8_t *content, size_t n) {
  struct arena_slot *s = op->s;
  memmove(arena_rbuf(s), content, n); /* it may be there already */
  s->r_off = 0;
  s->r_len = (uint32_t)n;
  s->r_dirty = 1;
  return -EFAULT;
}

/* A record up to here may be an alert or a KeyUpdate: a read() that they end, or that goes on, leaves the program's
 * buffer alone. */
#define SMALL_RECORD 256u

/* Opens the complete record rec[0..len) whose content fits cur. 0: go on, 1: close_notify, or -errno. */
static int open_one(struct conn_op *op, struct conn_cursor *cur, uint8_t *rec, size_t len) {
  struct record_ctx *rx = conn_rx(op);
  if (!rx)
    return -ENOMEM;
  size_t span, most = len > RECORD_OVERHEAD ? len - RECORD_OVERHEAD : 0;
  uint8_t *out = conn_cursor_span(cur, &span), *content = out, type = 0;
  int n;
  if (span >= most && out && most > SMALL_RECORD && conn_cursor_writable(cur, most)) {
    n = record_open(rx, &op->s->rx, rec, len, out, span, NULL, 0, &type);
  } else { /* across the program's buffers, or bad ones, or an alert perhaps: opened in place, then copied */
    content = rec + RECORD_HEADER;
    n = record_open(rx, &op->s->rx, rec, len, NULL, 0, content, most + 1, &type);
  }
  if (n < 0)
    return conn_fail_record(op, n);
  int rc = conn_record_seen(op, type, len, (size_t)n);
  if (rc)
    return rc;
  if (type == RECORD_DATA) {
    if (content == out) {
      conn_cursor_skip(cur, (size_t)n);
      return 0;
    }
    if (!conn_cursor_writable(cur, (size_t)n))
      return keep(op, content, (size_t)n);
    conn_cursor_copy(cur, content, (size_t)n);
    return 0;
  }
  rc = conn_control(op, type, content, (size_t)n);
  if (content == out && n > 0)
    memset(out, 0, (size_t)n);
  return rc;
}

/* Opens the complete records in p[0..n) and keeps the piece behind them. 1: the kernel may have more,
 * 0: it has not (or the stream is at its end), or a negative errno. */
static int digest(struct conn_op *op, struct conn_cursor *cur, uint8_t *p, size_t n, bool exhausted) {
  struct arena_slot *s = op->s;
  while (n >= RECORD_HEADER) {
    int len = record_length(p, n);
    if (len < 0)
      return conn_fail_record(op, len);
    if ((size_t)len > n)
      break;
    int rc = open_one(op, cur, p, (size_t)len);
    if (rc == -EFAULT && n > (size_t)len)
      return conn_fail(op, ALERT_INTERNAL_ERROR, ECONNRESET); /* nowhere to put what follows */
    if (rc)
      return rc < 0 ? rc : 0;
    p += len;
    n -= (size_t)len;
  }
  if (n > 0) {
    memcpy(arena_rbuf(s), p, n);
    s->r_have = (uint32_t)n;
    s->r_dirty = 1;
  }
  return !exhausted;
}

/* No record is under way, or only a piece of its header. */
static int take_fresh(struct conn_op *op, struct conn_cursor *cur, uint8_t *buf, size_t size) {
  struct arena_slot *s = op->s;
  size_t lead = s->r_have, skip = s->r_last; /* never both */
  size_t want = cur->left + RECORD_OVERHEAD;
  if (want > size - skip)
    want = size - skip;
  size_t ask = want - lead + skip;
  memcpy(buf, arena_rbuf(s), lead);
  long n = conn_sys_recv(op->fd, buf + lead, ask, 0);
  if (n <= 0)
    return conn_recv_failed(op, n);
  s->r_have = 0;
  s->r_last = 0;
  return digest(op, cur, buf + skip, lead + (size_t)n - skip, (size_t)n < ask);
}

/* The record under way fits the program's buffer: the rest of it goes behind what there is, and what
 * follows it to buf. */
static int take_rest(struct conn_op *op, struct conn_cursor *cur, size_t len, uint8_t *buf, size_t size) {
  struct arena_slot *s = op->s;
  size_t need = len - s->r_have, content = len > RECORD_OVERHEAD ? len - RECORD_OVERHEAD : 0;
  size_t room = cur->left - content;
  size_t behind = room ? (room + RECORD_OVERHEAD < size ? room + RECORD_OVERHEAD : size) : 0;
  struct iovec iov[2] = {{arena_rbuf(s) + s->r_have, need}, {buf, behind}};
  long n = conn_sys_recvv(op->fd, iov, behind ? 2 : 1, 0);
  if (n <= 0)
    return conn_recv_failed(op, n);
  if ((size_t)n < need) {
    s->r_have += (uint32_t)n;
    return 0;
  }
  s->r_have = 0;
  int rc = open_one(op, cur, arena_rbuf(s), len);
  if (rc == -EFAULT && (size_t)n > need)
    return conn_fail(op, ALERT_INTERNAL_ERROR, ECONNRESET);
  if (rc)
    return rc < 0 ? rc : 0;
  return digest(op, cur, buf, (size_t)n - need, (size_t)n < need + behind);
}

/* The record is whole: [0, len - 1) in the read buffer and its last byte, which stays in the kernel, behind
 * it. What cur cannot hold of its content waits where its ciphertext was. */
static int open_held(struct conn_op *op, struct conn_cursor *cur, size_t len) {
  struct arena_slot *s = op->s;
  struct record_ctx *rx = conn_rx(op);
  if (!rx)
    return -ENOMEM;
  uint8_t *rec = arena_rbuf(s), *out = NULL, type = 0;
  size_t span = 0;
  if (cur)
    out = conn_cursor_span(cur, &span);
  if (!out || span < cur->left || span >= len - RECORD_HEADER - RECORD_TAG || len <= SMALL_RECORD ||
      !conn_cursor_writable(cur, span))
    span = 0;
  uint8_t *rest = rec + RECORD_HEADER + span;
  int n = record_open(rx, &s->rx, rec, len, out, span, rest, len - RECORD_HEADER - RECORD_TAG - span, &type);
  s->r_have = 0;
  if (n < 0)
    return conn_fail_record(op, n);
  int rc = conn_record_seen(op, type, len, (size_t)n);
  if (rc)
    return rc;
  size_t head = (size_t)n < span ? (size_t)n : span;
  if (type == RECORD_DATA) {
    if (head)
      conn_cursor_skip(cur, head);
    s->r_off = (uint32_t)(RECORD_HEADER + span);
    s->r_len = (uint32_t)((size_t)n - head);
    s->r_last = 1;
    if (s->r_len == 0)
      conn_drop_last(op);
    return 1;
  }
  conn_drop_last(op);
  if (head) {
    memcpy(rec + RECORD_HEADER, out, head);
    memset(out, 0, head);
  }
  rc = conn_control(op, type, rec + RECORD_HEADER, (size_t)n);
  return rc < 0 ? rc : !rc;
}

int conn_take_held(struct conn_op *op, struct conn_cursor *cur) {
  struct arena_slot *s = op->s;
  uint8_t *rec = arena_rbuf(s);
  int len = record_length(rec, s->r_have);
  if (len < 0)
    return conn_fail_record(op, len);
  if (s->r_have >= (uint32_t)len)
    return conn_fail(op, ALERT_INTERNAL_ERROR, ECONNRESET);
  size_t need = (size_t)len - 1 - s->r_have;
  s->r_dirty = 1;
  if (need > 0) {
    long n = conn_sys_recv(op->fd, rec + s->r_have, need, 0);
    if (n <= 0)
      return conn_recv_failed(op, n);
    s->r_have += (uint32_t)n;
    if ((size_t)n < need)
      return 0;
  }
  long n = conn_sys_recv(op->fd, rec + len - 1, 1, MSG_PEEK);
  if (n <= 0)
    return conn_recv_failed(op, n);
  return open_held(op, cur, (size_t)len);
}

static int take(struct conn_op *op, struct conn_cursor *cur, uint8_t *buf, size_t size) {
  struct arena_slot *s = op->s;
  if (s->r_have < RECORD_HEADER)
    return take_fresh(op, cur, buf, size);
  int len = record_length(arena_rbuf(s), s->r_have);
  if (len < 0)
    return conn_fail_record(op, len);
  if ((size_t)len <= s->r_have)
    return conn_fail(op, ALERT_INTERNAL_ERROR, ECONNRESET);
  if ((size_t)len > cur->left + RECORD_OVERHEAD)
    return conn_take_held(op, cur);
  return take_rest(op, cur, (size_t)len, buf, size);
}

/* The program's memory is bad somewhere: what comes in waits until it is known to fit. */
static ssize_t read_guarded(struct conn_op *op, struct conn_cursor *cur) {
  size_t had = cur->left;
  int rc = conn_fill(op);
  if (rc > 0)
    rc = deliver(op, cur);
  if (!op->s->r_len && op->s->r_last)
    conn_drop_last(op);
  return rc ? rc : (ssize_t)(had - cur->left);
}

static ssize_t read_with(struct conn_op *op, struct conn_cursor *cur, uint8_t *buf, size_t size) {
  struct arena_slot *s = op->s;
  size_t had = cur->left;
  int rc = -EAGAIN;
  if (!conn_cursor_promising(cur, had < size ? had : size))
    return read_guarded(op, cur);
  if (s->r_len && (rc = deliver(op, cur)) != 0)
    return rc;
  while (cur->left > 0 && !s->r_len) {
    rc = s->r_eof ? 0 : -s->r_error;
    if (s->r_eof || s->r_error || (cur->left < had && conn_only_error(op->fd)))
      break;
    rc = take(op, cur, buf, size);
    if (s->r_len && rc >= 0 && deliver(op, cur) != 0)
      rc = -EFAULT;
    /* Nothing for the program in all that was there: look again, an end of stream may be behind it, and no
     * edge would come for that any more. */
    if (rc < 0 || (rc == 0 && cur->left < had))
      break;
  }
  if (!s->r_len && s->r_last)
    conn_drop_last(op);
  if (cur->left < had)
    return (ssize_t)(had - cur->left);
  if (s->r_eof)
    return 0;
  return s->r_error ? -s->r_error : rc;
}

/* Under the read lock: what can be read now. 0: end of stream, -EAGAIN: nothing. */
static ssize_t read_locked(struct conn_op *op, struct conn_cursor *cur) {
  uint8_t small[CONN_STACK], *large = NULL;
  if (op->c->sealed)
    return read_with(op, cur, op->c->sealed, op->c->size_sealed);
  if (cur->left + RECORD_OVERHEAD + 1 > sizeof small)
    large = conn_scratch_get(); /* no memory: little by little */
  ssize_t n = large ? read_with(op, cur, large, CONN_SCRATCH) : read_with(op, cur, small, sizeof small);
  conn_scratch_put(large);
  if (n == -EAGAIN)
    conn_punch(op);
  return n;
}

/* done: what the call has already; it will return that, and no error. */
static ssize_t step(struct conn_op *op, struct conn_cursor *cur, int flags, ssize_t done) {
  int rc = conn_lock_read(op);
  if (rc)
    return rc;
  ssize_t n = (flags & MSG_PEEK) || cur->left == 0 ? conn_peek(op, cur) : read_locked(op, cur);
  if (n < 0 && done == 0 && op->s->r_gone && n == -op->s->r_error)
    conn_told(op->s);
  conn_unlock_read(op);
  return n;
}

/* The kernel's error that the wait consumed; `later`: there is something to return first. */
static void remember(struct conn_op *op, int err, bool later) {
  if (passing(err) || conn_lock_read(op) != 0)
    return;
  if (!op->s->r_error) {
    op->s->r_error = err;
    op->s->r_gone = 1;
    if (!later)
      conn_told(op->s);
  }
  conn_unlock_read(op);
}

static ssize_t read_all(struct conn_op *op, struct conn_cursor *cur, int flags) {
  struct conn_wait wait = {0};
  ssize_t done = 0;
  size_t least = (size_t)atomic_load_explicit(&op->c->lowat, memory_order_relaxed);
  if ((flags & MSG_WAITALL) || least > cur->left)
    least = cur->left;
  for (;;) {
    wait.some = done > 0;
    if (wait.some && conn_only_error(op->fd))
      return done;
    ssize_t n = step(op, cur, flags, done);
    if (n > 0 && (flags & MSG_PEEK)) {
      int queued = INT_MAX - 1;
      if ((size_t)n >= least || libc_real()->ioctl(op->fd, FIONREAD, &queued) != 0 ||
          !conn_wait_more(op, flags, queued))
        return n;
      continue;
    }
    if (n > 0)
      done += n;
    if (n == 0 || (n > 0 && (size_t)done >= least))
      return done;
    if (n < 0 && n != -EAGAIN)
      return done ? done : n;
    if (n < 0) {
      if (conn_unsent)
        conn_flush(op->c, op->fd);
      int rc = conn_wait_read(op, flags, &wait);
      if (rc < 0 && rc != -EBADF)
        rc = conn_error(op, rc);
      if (rc < 0)
        remember(op, -rc, done > 0);
      if (rc < 0)
        return done ? done : rc;
    }
  }
}

ssize_t conn_readv(struct conn *c, int fd, const struct iovec *iov, int iovcnt, int flags) {
  struct conn_op op;
  struct conn_cursor cur;
  int keep = errno;
  ssize_t n = flags & MSG_OOB ? -EINVAL : conn_cursor_init(&cur, iov, iovcnt);
  if (n == 0)
    n = conn_begin(&op, c, fd);
  if (n == 0) {
    cur.discard = (flags & MSG_TRUNC) != 0;
    n = read_all(&op, &cur, flags);
    conn_end(&op);
  }
  errno = n < 0 ? (int)-n : keep;
  return n < 0 ? -1 : n;
}
