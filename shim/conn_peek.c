/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn_peek.c - looking at what a read would return without taking it: MSG_PEEK, FIONREAD, zero-length
 * reads, and the search for an alert behind a reset.
 *
 * The plaintext goes to the slot's read buffer and one byte of its last record stays in the kernel, so
 * the socket is as readable as before.
 */
#include "conn_int.h"

#include <openssl/crypto.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define ALERT_WIRE 25 /* an alert's record, padded by a byte */

int conn_fill(struct conn_op *op) {
  struct arena_slot *s = op->s;
  while (s->r_len == 0) {
    int rc;
    if (s->r_eof)
      return 0;
    if (s->r_error)
      return -s->r_error;
    if (s->r_have < RECORD_HEADER) {
      s->r_dirty = 1;
      size_t need = RECORD_HEADER - s->r_have;
      long n = conn_sys_recv(op->fd, arena_rbuf(s) + s->r_have, need, 0);
      if (n <= 0)
        return conn_recv_failed(op, n);
      s->r_have += (uint32_t)n;
      continue;
    }
    rc = conn_take_held(op, NULL);
    if (rc < 0)
      return rc;
  }
  return 1;
}

/* A record as short as an alert's: is it data? (Or does the peer say that it reads no more?) `side` is where the
 * stream will be then. Nothing is consumed. */
static bool is_data(struct conn_op *op, const struct arena_side *side, const uint8_t *rec, size_t len) {
  struct record_ctx *rx = conn_rx(op);
  struct arena_side at = *side;
  uint8_t content[ALERT_WIRE], type = RECORD_DATA;
  int n = rx ? record_open(rx, &at, rec, len, content, sizeof content, NULL, 0, &type) : -1;
  bool data = n < 0 || type == RECORD_DATA;
  if (!data && type == RECORD_ALERT && n == 2 && content[1] == ALERT_CLOSE_NOTIFY && len == ALERT_WIRE)
    op->s->r_done = 1;
  OPENSSL_cleanse(content, sizeof content);
  OPENSSL_cleanse(&at, sizeof at);
  return data;
}

/* The complete records in buf[0..n), which the kernel has: where they end, and what they hold of data (*sum). */
static size_t walk(struct conn_op *op, const uint8_t *buf, long n, size_t *sum) {
  struct arena_side ahead = op->s->rx;
  size_t at = op->s->r_last;
  while (n > 0 && at + RECORD_HEADER <= (size_t)n) {
    int len = record_length(buf + at, (size_t)n - at);
    if (len < (int)RECORD_OVERHEAD || at + (size_t)len > (size_t)n)
      break;
    if (len > ALERT_WIRE || is_data(op, &ahead, buf + at, (size_t)len))
      *sum += (size_t)len - RECORD_OVERHEAD;
    at += (size_t)len;
    ahead.seq++;
  }
  OPENSSL_cleanse(&ahead, sizeof ahead);
  return at;
}

void conn_look_to_the_end(struct conn_op *op) {
  size_t sum = 0;
  int queued = 0;
  if (op->s->r_done || conn_sys(libc_real()->syscall(SYS_ioctl, op->fd, FIONREAD, &queued)) != 0 ||
      queued <= (int)CONN_SCRATCH)
    return; /* conn_available() has seen all of that */
  uint8_t *buf = mmap(NULL, (size_t)queued, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (buf == MAP_FAILED)
    return;
  walk(op, buf, conn_sys_recv(op->fd, buf, (size_t)queued, MSG_PEEK), &sum);
  munmap(buf, (size_t)queued);
}

size_t conn_available(struct conn_op *op) {
  struct arena_slot *s = op->s;
  size_t sum = s->r_len;
  uint8_t *buf = s->r_len ? conn_scratch_get() : NULL;
  if (!buf)
    return sum;
  long n = conn_sys_recv(op->fd, buf, CONN_SCRATCH, MSG_PEEK);
  size_t at = walk(op, buf, n, &sum);
  /* A piece of a record, or more than one look can show. An event loop that is told too little waits for ever (it
   * takes the number for a promise and waits for an edge, and a piece may fill the window); one that is told too much
   * reads EAGAIN. */
  int queued = 0;
  if (n == (long)CONN_SCRATCH && libc_real()->ioctl(op->fd, FIONREAD, &queued) == 0 && (size_t)queued > at)
    sum += (size_t)queued - at;
  else if (n > (long)at)
    sum++;
  conn_scratch_put(buf);
  return sum;
}

/* A record of this size and more that is there whole is the program's data, most likely: it is left for the read,
 * which opens it where it belongs. */
#define LARGE_RECORD 4096

static bool only_a_piece(struct conn_op *op) {
  struct arena_slot *s = op->s;
  if (s->r_len || s->r_eof || s->r_error)
    return false;
  uint8_t header[RECORD_HEADER];
  int queued = 0;
  /* Nothing there but an end, or an error, which is not ours to take. */
  if (libc_real()->ioctl(op->fd, FIONREAD, &queued) != 0 || queued == 0)
    return false;
  memcpy(header, arena_rbuf(s), s->r_have < RECORD_HEADER ? s->r_have : RECORD_HEADER);
  if (s->r_have >= RECORD_HEADER || conn_sys_recv(op->fd, header + s->r_have, RECORD_HEADER - s->r_have, MSG_PEEK) ==
                                        (long)(RECORD_HEADER - s->r_have)) {
    int len = record_length(header, RECORD_HEADER);
    if (len >= LARGE_RECORD && (uint32_t)queued + s->r_have >= (uint32_t)len)
      return false;
  }
  return conn_fill(op) == -EAGAIN;
}

#define GLANCE      1024                  /* what one look shows of the next record */
#define FEW_RECORDS 8                     /* session tickets come first */
#define KEY_UPDATE  (RECORD_OVERHEAD + 5) /* how long one is; an alert is told the program by the read */

/* Without the lock, and without opening anything: is the next record one of data, most likely, and whole? What is
 * looked at here may be changing; then the answer is as good as one given a moment before or after. */
__attribute__((no_sanitize("thread"))) static bool is_whole(struct conn_op *op) {
  const struct arena_slot *s = op->s;
  uint8_t start[GLANCE];
  int queued = 0;
  if (s->r_have || s->r_len || atomic_load_explicit(&s->records_in, memory_order_relaxed) < FEW_RECORDS)
    return s->r_len != 0;
  long n = conn_sys_recv(op->fd, start, sizeof start, MSG_PEEK);
  int len = n < RECORD_HEADER ? -1 : record_length(start, (size_t)n);
  if (len <= (int)RECORD_OVERHEAD || len == (int)KEY_UPDATE || (n < len && n < GLANCE))
    return false;
  return n >= len || (libc_real()->ioctl(op->fd, FIONREAD, &queued) == 0 && queued >= len);
}

bool conn_piece(struct conn *c, int fd) {
  struct conn_op op;
  int keep = errno;
  bool piece = false;
  if (conn_begin(&op, c, fd) == 0) {
    if (!is_whole(&op) && conn_lock_read(&op) == 0) {
      piece = only_a_piece(&op);
      conn_unlock_read(&op);
    }
    conn_end(&op);
  }
  errno = keep;
  return piece;
}

/* One more record behind the plaintext that waits, if it is there whole and there is room for it. The last
 * byte of the record before it goes, its own stays. Errors are left for the read that gets there. */
static bool extend(struct conn_op *op, uint8_t *buf) {
  struct arena_slot *s = op->s;
  struct record_ctx *rx = conn_rx(op);
  uint8_t *rec = buf + 1, type = 0;
  if (!rx || conn_sys_recv(op->fd, buf, 1 + RECORD_HEADER, MSG_PEEK) != 1 + (long)RECORD_HEADER)
    return false;
  int len = record_length(rec, RECORD_HEADER);
  if (len < 0 || (size_t)len > ARENA_RBUF - s->r_len)
    return false;
  if (conn_sys_recv(op->fd, buf, 1 + (size_t)len, MSG_PEEK) != 1 + (long)len)
    return false;
  int n = record_open(rx, &s->rx, rec, (size_t)len, NULL, 0, rec + RECORD_HEADER, (size_t)len - RECORD_HEADER, &type);
  if (n < 0)
    return false;
  conn_sys_recv(op->fd, NULL, (size_t)len, MSG_TRUNC);
  if (conn_record_seen(op, type, (size_t)len, (size_t)n))
    return false;
  if (type != RECORD_DATA)
    return conn_control(op, type, rec + RECORD_HEADER, (size_t)n) == 0;
  uint8_t *at = arena_rbuf(s);
  memmove(at, at + s->r_off, s->r_len);
  memcpy(at + s->r_len, rec + RECORD_HEADER, (size_t)n);
  s->r_off = 0;
  s->r_len += (uint32_t)n;
  return true;
}

/* What is in the records behind those that the read buffer holds: opened in a copy of them, with a copy of the
 * sequence number, and left in the kernel. Stops where anything but data comes. Bytes, or -EFAULT. */
static ssize_t look_further(struct conn_op *op, struct conn_cursor *cur) {
  struct record_ctx *rx = conn_rx(op);
  int queued = 0;
  if (!rx || libc_real()->ioctl(op->fd, FIONREAD, &queued) != 0 || queued <= (int)RECORD_OVERHEAD)
    return 0;
  size_t records = cur->left / RECORD_PLAIN_MAX + 2, most = cur->left + RECORD_WIRE_MAX + records * RECORD_OVERHEAD;
  size_t size = (size_t)queued < most || most < cur->left ? (size_t)queued : most, had = cur->left;
  uint8_t *buf = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), type = RECORD_DATA;
  if (buf == MAP_FAILED)
    return 0;
  struct arena_side side = op->s->rx;
  long got = conn_sys_recv(op->fd, buf, size, MSG_PEEK);
  bool bad = false;
  for (size_t at = op->s->r_last; got > 0 && cur->left > 0 && at + RECORD_HEADER <= (size_t)got;) {
    int len = record_length(buf + at, RECORD_HEADER), n = -1;
    uint8_t *content = buf + at + RECORD_HEADER;
    if (len > 0 && at + (size_t)len <= (size_t)got)
      n = record_open(rx, &side, buf + at, (size_t)len, NULL, 0, content, (size_t)len - RECORD_HEADER, &type);
    if (n < 0 || type != RECORD_DATA)
      break;
    size_t fits = (size_t)n < cur->left ? (size_t)n : cur->left;
    bad = !conn_cursor_writable(cur, fits);
    if (bad)
      break;
    conn_cursor_copy(cur, content, fits);
    at += (size_t)len;
  }
  OPENSSL_cleanse(&side, sizeof side);
  munmap(buf, size);
  return bad && cur->left == had ? -EFAULT : (ssize_t)(had - cur->left);
}

ssize_t conn_peek(struct conn_op *op, struct conn_cursor *cur) {
  struct arena_slot *s = op->s;
  int rc = conn_fill(op);
  if (rc <= 0)
    return rc;
  if (cur->left > s->r_len && !s->r_eof && !s->r_error) {
    uint8_t *buf = conn_scratch_get();
    while (buf && cur->left > s->r_len && extend(op, buf)) {
    }
    conn_scratch_put(buf);
  }
  struct conn_cursor at = *cur;
  size_t n = cur->left < s->r_len ? cur->left : s->r_len;
  if (!conn_cursor_writable(cur, n))
    return -EFAULT;
  conn_cursor_copy(&at, arena_rbuf(s) + s->r_off, n);
  ssize_t more = at.left > 0 && !s->r_eof && !s->r_error ? look_further(op, &at) : 0;
  return more > 0 ? (ssize_t)n + more : (ssize_t)n;
}

int conn_fionread(struct conn *c, int fd, int *bytes) {
  struct conn_op op;
  int keep = errno, rc = conn_begin(&op, c, fd);
  if (rc == 0) {
    rc = conn_lock_read(&op);
    if (rc == 0) {
      int queued = 1;
      conn_sys(libc_real()->syscall(SYS_ioctl, fd, FIONREAD, &queued));
      if (queued > 0) /* else there is nothing to look at but an error, which is not ours to take */
        conn_fill(&op);
      *bytes = (int)conn_available(&op);
      conn_unlock_read(&op);
    }
    conn_end(&op);
  }
  errno = rc ? -rc : keep;
  return rc ? -1 : 0;
}
