/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn_int.h - what the files of the record engine share. Nobody else includes it.
 *
 * conn.c         locks, fork, close       conn_take.c    how it begins
 * conn_read.c    from the kernel into the program's buffers
 * conn_peek.c    looking ahead            conn_write.c   from the program's buffers into the kernel
 * conn_control.c alerts, KeyUpdate, tickets
 * conn_wait.c    blocking as the kernel   conn_cursor.c  the program's buffers
 * conn_scratch.c large buffers            conn_memory.c  libcrypto's memory
 * conn_pages.c   is the program's memory there?  conn_options.c socket options
 * conn_shut.c    the end of a connection  conn_linger.c  its last close with bytes unsent
 *
 * Internal functions answer 0 or more, or a negative errno. Lock order: rlock, then wlock.
 */
#ifndef SHIM_CONN_INT_H
#define SHIM_CONN_INT_H

#include "conn.h"
#include "libc.h"
#include "record/record.h"

#include <errno.h>
#include <limits.h>
#include <time.h>

enum {
  ALERT_CLOSE_NOTIFY = 0,
  ALERT_UNEXPECTED_MESSAGE = 10,
  ALERT_BAD_RECORD_MAC = 20,
  ALERT_RECORD_OVERFLOW = 22,
  ALERT_BAD_CERTIFICATE = 42,
  ALERT_UNSUPPORTED_CERTIFICATE = 43,
  ALERT_CERTIFICATE_REVOKED = 44,
  ALERT_CERTIFICATE_EXPIRED = 45,
  ALERT_CERTIFICATE_UNKNOWN = 46,
  ALERT_ILLEGAL_PARAMETER = 47,
  ALERT_UNKNOWN_CA = 48,
  ALERT_ACCESS_DENIED = 49,
  ALERT_DECODE_ERROR = 50,
  ALERT_INTERNAL_ERROR = 80,
  ALERT_USER_CANCELED = 90,
  ALERT_CERTIFICATE_REQUIRED = 116,
};

#define CONN_STACK       2048u  /* buffers up to here are on the stack: threads may have 16 KiB of it */
#define CONN_SCRATCH     69632u /* 4 records of 2^14, a KeyUpdate; 17 pages */
#define CONN_EPOCH_NONE  (~0u)  /* no cipher context yet, or one from before fork() */
#define CONN_SMALL_WRITE 1400u  /* plaintext up to here is sealed on the stack */

_Static_assert(CONN_SCRATCH <= ARENA_WBUF, "whatever was sealed and not sent fits the write buffer");
_Static_assert(ARENA_RBUF >= RECORD_WIRE_MAX, "a whole record fits the read buffer");

/* One call at work on a connection. */
struct conn_op {
  struct conn *c;
  struct arena_slot *s;
  int fd;
  int alert; /* to be reported when the locks are dropped; -1 none */
  bool alert_received;
  bool padded;        /* the record that was opened last */
  bool answer_update; /* the peer asked for a KeyUpdate */
  lock_signals signals;
  bool masked; /* the lock is dropped, and signals are still blocked: until conn_unmask() */
};

/* Where a call stands in the program's buffers. */
struct conn_cursor {
  const struct iovec *iov;
  int cnt;
  size_t off;   /* into iov[0] */
  size_t left;  /* bytes of room, or to send */
  bool discard; /* MSG_TRUNC: bytes are counted, not stored */
};

static inline void *conn_cursor_span(struct conn_cursor *cur, size_t *len) {
  while (cur->cnt > 0 && cur->off == cur->iov->iov_len) {
    cur->iov++;
    cur->cnt--;
    cur->off = 0;
  }
  if (cur->discard || cur->cnt <= 0) {
    *len = 0;
    return NULL;
  }
  size_t n = cur->iov->iov_len - cur->off;
  *len = n < cur->left ? n : cur->left;
  return (uint8_t *)cur->iov->iov_base + cur->off;
}
void conn_cursor_skip(struct conn_cursor *cur, size_t n);
void conn_cursor_copy(struct conn_cursor *cur, const void *from, size_t n);
/* Checks the vector as the kernel does and sums it up. 0, -EINVAL, -EFAULT. */
int conn_cursor_init(struct conn_cursor *cur, const struct iovec *iov, int iovcnt);
/* How many of the next n bytes can be read from the program's memory. */
size_t conn_cursor_readable(const struct conn_cursor *cur, size_t n);
/* Can the next n bytes be written there? */
bool conn_cursor_writable(const struct conn_cursor *cur, size_t n);
/* The same, of the first and the last byte of every buffer only: what is between is not touched. */
bool conn_cursor_promising(const struct conn_cursor *cur, size_t n);

/* -- conn.c -- */
/* A call begins and ends. conn_begin: -EBADF once the connection was closed in this process. */
int conn_begin(struct conn_op *op, struct conn *c, int fd);
void conn_leave(struct conn *c);
static inline void conn_end(struct conn_op *op) { conn_leave(op->c); }
/* A call leaves while it sleeps, for its thread may never come back (siglongjmp()), and returns: -EBADF where the
 * connection was closed meanwhile; then the slot is not looked at any more. */
int conn_return(struct conn_op *op);
/* Takes the lock of one side with all signals blocked. 0, or why nothing may be done here. The unlock
 * reports what happened (conn_on_alert), with nothing held. */
int conn_lock_read(struct conn_op *op);
void conn_unlock_read(struct conn_op *op);
int conn_lock_write(struct conn_op *op);
void conn_unlock_write(struct conn_op *op);
/* Drops the lock only: the call is going to wait, and a handler that ran before the wait would not end it. */
void conn_unlock_write_masked(struct conn_op *op);
void conn_unmask(struct conn_op *op);
/* What a call that ends with rc (a result or a negative errno) answers: a revoked connection has one error for all.
 */
int conn_error(const struct conn_op *op, int rc);
/* The write lock from under the read lock. try: without waiting; 1: somebody has it. */
int conn_nest_write(struct conn_op *op, bool try);
void conn_unnest_write(struct conn_op *op);
/* The cipher context of the present epoch; NULL: out of memory. Under the side's lock. */
struct record_ctx *conn_rx(struct conn_op *op);
struct record_ctx *conn_tx(struct conn_op *op);
void conn_drop_contexts(struct conn *c);
/* Is what the slot says of its write buffer within it? 0, -ECONNRESET. */
static inline int conn_check_write(const struct arena_slot *s) {
  return s->w_off > ARENA_WBUF || s->w_len > ARENA_WBUF - s->w_off ? -ECONNRESET : 0;
}

/* -- conn_read.c -- */
/* recv() answered n <= 0: what the program is told. 0: end of stream (r_eof), else a negative errno. */
int conn_recv_failed(struct conn_op *op, long n);
/* The record in the read buffer has r_have >= RECORD_HEADER bytes and is more than cur can hold (NULL: keep
 * all of it): takes it but for its last byte, opens it, keeps the rest of its content. 1: go on, 0: nothing
 * more is there, or a negative errno. */
int conn_take_held(struct conn_op *op, struct conn_cursor *cur);
/* Drops the last byte, in the kernel, of a record whose content was delivered. */
void conn_drop_last(struct conn_op *op);
/* Gives the buffers' pages back when they have been empty for a while. */
void conn_punch(struct conn_op *op);

/* -- conn_peek.c -- */
/* Opens the next record with content into the read buffer. 1: plaintext waits, 0: end of stream, or a
 * negative errno (-EAGAIN: nothing there). */
int conn_fill(struct conn_op *op);
/* Plaintext that waits, and what the complete records in the kernel hold beside it. After conn_fill(). */
size_t conn_available(struct conn_op *op);
/* The peer has ended its stream: does its close_notify, behind more than conn_available() looks at, say that it reads
 * no more? After conn_fill() found plaintext. */
void conn_look_to_the_end(struct conn_op *op);
ssize_t conn_peek(struct conn_op *op, struct conn_cursor *cur);

/* -- conn_control.c -- */
/* What a record that is not application data says. 0: go on, 1: close_notify, or a negative errno. */
int conn_control(struct conn_op *op, uint8_t type, const uint8_t *p, size_t n);
/* A record of `wire` bytes with n of content was opened: may its type come here? 0 or a negative errno. */
int conn_record_seen(struct conn_op *op, uint8_t type, size_t wire, size_t n);
/* The peer broke the protocol: alert, and the end. Returns -err. */
int conn_fail(struct conn_op *op, int alert, int err);
/* The same for an error of record_length() or record_open(). */
int conn_fail_record(struct conn_op *op, int error);
/* Answers the peer's KeyUpdate if the write side is free. Under the read lock. */
void conn_answer_update(struct conn_op *op);
/* A write met a reset: is the reason in the receive queue? The errno for the program. */
int conn_look_for_alert(struct conn_op *op, int err);

/* ---- conn_shut.c: the end, as TCP shows it ---- */
/* The kernel's error was told: reads are at their end from here. Under the read lock. */
void conn_told(struct arena_slot *s);
int conn_kernel_error(int fd); /* SO_ERROR: the kernel's pending error, which it forgets, or 0 */
/* Has the kernel nothing more to read, and an error to tell? A call that has bytes to return leaves that to the next
 * one: recv() would take it. */
bool conn_only_error(int fd);
/* The kernel's error that was taken from it and not told yet, or 0. Under the read lock. */
int conn_waiting_error(struct conn_op *op);
/* The peer has ended its stream: this side of the socket is at its end, for the kernel as well. Nothing is done where
 * its FIN is there: that would be one more edge for EPOLLET. */
void conn_end_reads(int fd);
void conn_flush_at_end(struct conn *c, int fd);
/* Under the write lock. final: this side will read nothing more either. */
void conn_send_close_notify(struct conn_op *op, bool final);

/* -- conn_linger.c -- */
/* The last close, with both sides locked: does somebody hold the socket until all that was written is acknowledged?
 * Then close_notify is his to send, where it was not yet. */
bool conn_leave_behind(struct conn_op *op);

/* -- conn_write.c -- */
/* Seals and sends one control record without waiting, if it can leave whole. flags: MSG_MORE or 0. Under the write
 * lock. */
int conn_send_control(struct conn_op *op, uint8_t type, const uint8_t *p, size_t n, int flags);
int conn_send_key_update(struct conn_op *op);
/* Sends what is in the write buffer. 0: it is empty, 1: it is not, or a negative errno. */
int conn_flush_locked(struct conn_op *op);

/* -- conn_wait.c -- */
struct conn_wait {
  bool begun;
  bool some; /* the call has bytes to return: it takes no error, and every handler ends it */
  uint64_t since_ms;
};
/* Blocks as the kernel would for this descriptor. 0: look again, or a negative errno. */
int conn_wait_read(struct conn_op *op, int flags, struct conn_wait *w);
/* Blocks until the kernel has more than `queued` bytes to read. 1: it has, 0: it has not, and will not soon. */
int conn_wait_more(struct conn_op *op, int flags, int queued);
int conn_wait_write(struct conn_op *op, int flags, struct conn_wait *w);
uint64_t conn_now_ms(void);
/* The number by which a call on c goes on: fd, while it leads there; else another one of the connection, for fd may
 * be another file's by now; -1: there is none. The hooks know (hooks/io.c); NULL where there are none. */
int conn_number(struct conn *c, int fd) __attribute__((weak));
/* The thread is cancelled in a wait: the call is at its end, and the hooks' pin of the connection goes with it. */
void conn_unpin(struct conn *c) __attribute__((weak));

/* -- conn_options.c -- */
/* Does the program wait for notices of what MSG_ZEROCOPY has sent? There will be none. */
bool conn_zerocopy(int fd);

/* -- conn_scratch.c -- */
uint8_t *conn_scratch_get(void); /* CONN_SCRATCH bytes; NULL: out of memory */
void conn_scratch_put(uint8_t *p);

/* -- conn_memory.c -- */
void conn_memory_after_fork(void);

/* System calls under a lock: never a cancellation point, never an allocation. n or -errno. */
static inline long conn_sys(long r) { return r < 0 ? -errno : r; }
long conn_sys_recv(int fd, void *buf, size_t len, int flags);
long conn_sys_recvv(int fd, struct iovec *iov, size_t cnt, int flags);
long conn_sys_send(int fd, const void *buf, size_t len, int flags);
int conn_sys_poll(int fd, short events, int timeout_ms); /* revents, 0 */

#endif
