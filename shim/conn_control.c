/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn_control.c - records that are not application data: alerts, KeyUpdate, session tickets (RFC 8446
 * sections 4.6 and 6). The program never sees them; what it sees of them is an end of stream or an errno.
 *
 * A protocol error ends the connection for good: alert to the peer, errno to the program, both directions
 * of the TCP socket shut, so that every wait on it wakes.
 */
#include "conn_int.h"

#include <string.h>
#include <sys/syscall.h>

enum { NEW_SESSION_TICKET = 4, KEY_UPDATE = 24 };
#define HANDSHAKE_HEADER 4u
#define TICKET_MAX       (128u * 1024u) /* two fields of 2^16 */
#define IDLE_MAX         64u            /* records in a row without data; an honest peer sends a handful */

/* In TLS 1.3 a server judges our certificate after our connect() is done: such an alert means "refused". */
static int alert_errno(int alert) {
  switch (alert) {
  case ALERT_BAD_CERTIFICATE:
  case ALERT_UNSUPPORTED_CERTIFICATE:
  case ALERT_CERTIFICATE_REVOKED:
  case ALERT_CERTIFICATE_EXPIRED:
  case ALERT_CERTIFICATE_UNKNOWN:
  case ALERT_UNKNOWN_CA:
  case ALERT_ACCESS_DENIED:
  case ALERT_CERTIFICATE_REQUIRED:
    return EACCES;
  default:
    return ECONNRESET;
  }
}

static void end(struct conn_op *op, int err) {
  struct arena_slot *s = op->s;
  if (!s->r_error)
    s->r_error = err;
  s->r_have = s->r_hs_have = s->r_hs_skip = 0;
  if (!s->r_len)
    s->r_last = 0;
  conn_sys(libc_real()->syscall(SYS_shutdown, op->fd, SHUT_RDWR));
}

int conn_fail(struct conn_op *op, int alert, int err) {
  const uint8_t message[2] = {2, (uint8_t)alert};
  if (op->s->r_error)
    return -op->s->r_error;
  op->alert = alert;
  op->alert_received = false;
  if (conn_nest_write(op, false) == 0) {
    if (!op->s->w_shut && !op->s->w_error)
      conn_send_control(op, RECORD_ALERT, message, sizeof message, 0);
    if (!op->s->w_error)
      op->s->w_error = err;
    conn_unnest_write(op);
  }
  end(op, err);
  return -err;
}

int conn_fail_record(struct conn_op *op, int error) {
  switch (error) {
  case RECORD_OVERFLOW:
    return conn_fail(op, ALERT_RECORD_OVERFLOW, ECONNRESET);
  case RECORD_BAD_MAC:
    return conn_fail(op, ALERT_BAD_RECORD_MAC, ECONNRESET);
  case RECORD_UNEXPECTED:
    return conn_fail(op, ALERT_UNEXPECTED_MESSAGE, ECONNRESET);
  default:
    return conn_fail(op, ALERT_INTERNAL_ERROR, ECONNRESET);
  }
}

static int alert_received(struct conn_op *op, const uint8_t *p, size_t n) {
  struct arena_slot *s = op->s;
  if (n != 2)
    return conn_fail(op, ALERT_DECODE_ERROR, ECONNRESET);
  int alert = p[1];
  if (alert == ALERT_USER_CANCELED) /* section 6.1: a warning; close_notify follows */
    return 0;
  if (alert == ALERT_CLOSE_NOTIFY) {
    s->r_eof = ARENA_EOF_END;
    s->r_done = op->padded;
    /* The FIN may come later, or not at all. This side of the socket is at its end from here: the kernel
     * calls it readable for good, and close() owes the peer no reset for bytes that nobody read. */
    conn_end_reads(op->fd);
    return 1;
  }
  int err = alert_errno(alert); /* section 6.2: whatever its level says, it is fatal */
  op->alert = alert;
  op->alert_received = true;
  if (conn_nest_write(op, false) == 0) {
    if (!op->s->w_error)
      s->w_error = err;
    conn_unnest_write(op);
  }
  end(op, err);
  return -err;
}

static int key_update(struct conn_op *op, uint8_t request) {
  if (request > 1)
    return conn_fail(op, ALERT_ILLEGAL_PARAMETER, ECONNRESET);
  if (record_side_update(&op->s->rx, op->s->cipher))
    return conn_fail(op, ALERT_INTERNAL_ERROR, ECONNRESET);
  if (request) {
    atomic_store(&op->s->w_key_update, 1);
    op->answer_update = true;
  }
  return 0;
}

/* One step into a handshake message whose header is complete. 0: message done or being counted off. */
static int message(struct conn_op *op, size_t behind) {
  struct arena_slot *s = op->s;
  const uint8_t *m = s->r_hs;
  uint32_t len = (uint32_t)m[1] << 16 | (uint32_t)m[2] << 8 | m[3];
  if (m[0] == NEW_SESSION_TICKET && s->role == ARENA_CLIENT) {
    if (len > TICKET_MAX)
      return conn_fail(op, ALERT_DECODE_ERROR, ECONNRESET);
    s->r_hs_skip = len;
    s->r_hs_have = 0;
    return 0;
  }
  if (m[0] != KEY_UPDATE)
    return conn_fail(op, ALERT_UNEXPECTED_MESSAGE, ECONNRESET);
  if (len != 1)
    return conn_fail(op, ALERT_DECODE_ERROR, ECONNRESET);
  if (s->r_hs_have < HANDSHAKE_HEADER + 1)
    return 0;
  /* Section 5.1: a KeyUpdate ends its record, for the next one is under other keys. */
  if (behind)
    return conn_fail(op, ALERT_UNEXPECTED_MESSAGE, ECONNRESET);
  s->r_hs_have = 0;
  return key_update(op, m[HANDSHAKE_HEADER]);
}

static int handshake(struct conn_op *op, const uint8_t *p, size_t n) {
  struct arena_slot *s = op->s;
  while (n > 0) {
    if (s->r_hs_skip) {
      uint32_t step = n < s->r_hs_skip ? (uint32_t)n : s->r_hs_skip;
      s->r_hs_skip -= step;
      p += step;
      n -= step;
      continue;
    }
    s->r_hs[s->r_hs_have++] = *p++; /* never more than 5: header and a KeyUpdate's byte */
    n--;
    if (s->r_hs_have < HANDSHAKE_HEADER)
      continue;
    int rc = message(op, n);
    if (rc)
      return rc;
  }
  return 0;
}

int conn_record_seen(struct conn_op *op, uint8_t type, size_t wire, size_t n) {
  struct arena_slot *s = op->s;
  op->padded = wire > n + RECORD_OVERHEAD;
  atomic_fetch_add_explicit(&s->records_in, 1, memory_order_relaxed);
  /* Section 5.1: nothing between the pieces of a handshake message; no empty piece. */
  if (type == RECORD_DATA && (s->r_hs_have || s->r_hs_skip))
    return conn_fail(op, ALERT_UNEXPECTED_MESSAGE, ECONNRESET);
  if (type == RECORD_DATA && n > 0) {
    s->r_idle = 0;
    atomic_fetch_add_explicit(&s->bytes_in, n, memory_order_relaxed);
    return 0;
  }
  if (++s->r_idle > IDLE_MAX || (type != RECORD_DATA && n == 0))
    return conn_fail(op, ALERT_UNEXPECTED_MESSAGE, ECONNRESET);
  return 0;
}

int conn_control(struct conn_op *op, uint8_t type, const uint8_t *p, size_t n) {
  switch (type) {
  case RECORD_ALERT:
    return alert_received(op, p, n);
  case RECORD_HANDSHAKE:
    return handshake(op, p, n);
  default:
    return conn_fail(op, ALERT_UNEXPECTED_MESSAGE, ECONNRESET);
  }
}

void conn_answer_update(struct conn_op *op) {
  if (conn_nest_write(op, true) != 0)
    return; /* whoever writes now, or next, answers before the next record */
  if (atomic_load(&op->s->w_key_update) && !op->s->w_shut && !op->s->w_error && conn_flush_locked(op) == 0)
    conn_send_key_update(op);
  conn_unnest_write(op);
}

int conn_look_for_alert(struct conn_op *op, int err) {
  if (conn_lock_read(op) != 0)
    return err;
  if (!op->s->r_error && !op->s->r_eof) {
    int rc = conn_fill(op);
    (void)rc; /* what it found is in r_error */
  }
  if (op->s->r_error == EACCES)
    err = EACCES;
  else if (err == EPIPE || err == 0) {
    int waits = conn_waiting_error(op);
    err = waits ? waits : err;
  }
  conn_unlock_read(op);
  return err;
}

int conn_reason(struct conn *c, int fd, int err) {
  struct conn_op op;
  int keep = errno;
  if (conn_begin(&op, c, fd) == 0) {
    err = conn_look_for_alert(&op, err);
    conn_end(&op);
  }
  errno = keep;
  return err;
}
