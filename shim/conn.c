/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn.c - a connection's life in this process: locks, fork, close. (How it begins: conn_take.c.)
 *
 * The locks live in the slot and are robust: when a process dies with one held, the next one learns
 * whether the side was being changed at that moment, and if so the connection is failed, for a record
 * may be half read or half sent. No lock is held across a call that blocks.
 */
#include "conn_int.h"

#include <openssl/crypto.h>
#include <string.h>
#include <sys/syscall.h>

_Atomic uint32_t conn_unsent;
_Atomic bool conn_any;
void (*conn_on_alert)(struct conn *c, int fd, int alert, bool received);

/* ---- calls at work ----------------------------------------------------------------------------------- */
/* Nobody is at work on it any more, nor will be. The contexts go now and not with the last pin: a handler that jumped
 * out of a wait has left one for ever. */
static void release(struct conn *c) {
  uint8_t closed = 1;
  lock_signals saved;
  if (!atomic_compare_exchange_strong(&c->closed, &closed, 2))
    return;
  lock_signals_block(&saved);
  conn_drop_contexts(c);
  lock_signals_restore(&saved);
  if (c->releases)
    atomic_store_explicit(&c->slot->state, ARENA_RELEASED, memory_order_release);
}

int conn_begin(struct conn_op *op, struct conn *c, int fd) {
  *op = (struct conn_op){.c = c, .s = c->slot, .fd = fd, .alert = -1};
  atomic_fetch_add(&c->users, 1);
  if (c->slot && !atomic_load(&c->closed))
    return 0;
  conn_end(op);
  return -EBADF;
}

void conn_leave(struct conn *c) {
  if (atomic_fetch_sub(&c->users, 1) == 1 && atomic_load(&c->closed))
    release(c);
}

int conn_return(struct conn_op *op) {
  atomic_fetch_add(&op->c->users, 1);
  return atomic_load(&op->c->closed) ? -EBADF : 0;
}

/* ---- locks ------------------------------------------------------------------------------------------- */
static int lock_side(struct conn_op *op, pthread_mutex_t *m, uint32_t *busy, bool try) {
  struct arena_slot *s = op->s;
  int rc = try ? pthread_mutex_trylock(m) : pthread_mutex_lock(m);
  if (rc == EBUSY)
    return 1;
  if (rc == EOWNERDEAD) {
    pthread_mutex_consistent(m);
    if (*busy) { /* its owner died between the kernel and our books: nobody knows where the stream is */
      s->r_error = s->w_error = ECONNRESET;
      *busy = 0;
      conn_sys(libc_real()->syscall(SYS_shutdown, op->fd, SHUT_RDWR));
    }
  } else if (rc != 0) {
    return -ECONNRESET;
  }
  if (s->use != op->c->use || atomic_load_explicit(&s->state, memory_order_relaxed) != ARENA_LIVE) {
    pthread_mutex_unlock(m);
    return -EBADF;
  }
  *busy = 1;
  return 0;
}

static void unlock_side(pthread_mutex_t *m, uint32_t *busy) {
  *busy = 0;
  pthread_mutex_unlock(m);
}

static void wipe(struct arena_slot *s);

/* Nothing is sent or opened any more: no key is needed. Who is at work on a side wipes it when it is done. */
static void wipe_revoked(struct conn_op *op) {
  lock_signals saved;
  lock_signals_block(&saved);
  if (lock_side(op, &op->s->rlock, &op->s->r_busy, true) == 0) {
    if (lock_side(op, &op->s->wlock, &op->s->w_busy, true) == 0) {
      if (op->s->r_error != EBADF)
        wipe(op->s);
      unlock_side(&op->s->wlock, &op->s->w_busy);
    }
    unlock_side(&op->s->rlock, &op->s->r_busy);
  }
  lock_signals_restore(&saved);
}

static int revoked_error(const struct arena_slot *s) {
  uint32_t revoked = atomic_load_explicit(&s->revoked, memory_order_relaxed);
  return revoked < 4096 ? -(int)revoked : -ECONNRESET;
}

bool conn_revoked(const struct conn *c) { return c->slot && c->slot->use == c->use && revoked_error(c->slot) != 0; }

int conn_error(const struct conn_op *op, int rc) {
  int revoked = atomic_load(&op->c->closed) ? 0 : revoked_error(op->s);
  return revoked && rc < 0 ? revoked : rc;
}

/* Under a lock: does the call's number lead to the connection still? It may be another file's by now: then the call
 * goes on by another number of the connection. Who closes one waits for the locks (conn_number_left()). */
static bool still_there(struct conn_op *op) {
  if (atomic_load(&op->c->closed))
    return false;
  if (conn_number)
    op->fd = conn_number(op->c, op->fd);
  return !conn_number || op->fd >= 0;
}

static int lock_outer(struct conn_op *op, pthread_mutex_t *m, uint32_t *busy) {
  if (atomic_load(&op->c->closed))
    return -EBADF;
  int revoked = revoked_error(op->s);
  if (revoked) {
    wipe_revoked(op);
    return revoked;
  }
  lock_signals_block(&op->signals);
  int rc = lock_side(op, m, busy, false);
  if (rc == 0 && !still_there(op)) {
    unlock_side(m, busy);
    rc = -EBADF;
  }
  if (rc)
    lock_signals_restore(&op->signals);
  return rc;
}

static void unlock_outer(struct conn_op *op, pthread_mutex_t *m, uint32_t *busy) {
  unlock_side(m, busy);
  lock_signals_restore(&op->signals);
  if (op->alert >= 0 && conn_on_alert)
    conn_on_alert(op->c, op->fd, op->alert, op->alert_received);
  op->alert = -1;
}

int conn_lock_read(struct conn_op *op) {
  int rc = lock_outer(op, &op->s->rlock, &op->s->r_busy);
  if (rc)
    return rc;
  struct arena_slot *s = op->s;
  /* Another process of the program wrote here: never follow it out of the buffers. */
  if (s->r_have > ARENA_RBUF || s->r_off > ARENA_RBUF || s->r_len > ARENA_RBUF - s->r_off ||
      s->r_hs_have >= sizeof s->r_hs) {
    conn_unlock_read(op);
    return -ECONNRESET;
  }
  if (s->r_eof == ARENA_EOF_SHUT)
    s->r_eof = ARENA_EOF_NONE;
  return 0;
}

void conn_unlock_read(struct conn_op *op) {
  if (op->answer_update)
    conn_answer_update(op);
  op->answer_update = false;
  unlock_outer(op, &op->s->rlock, &op->s->r_busy);
}

/* Keeps conn_unsent right: other processes fill and empty the write buffer too. */
static void count_unsent(struct conn_op *op) {
  bool has = op->s->w_len != 0;
  if (has == (op->c->counted != 0))
    return;
  op->c->counted = has;
  if (has)
    atomic_fetch_add(&conn_unsent, 1);
  else
    atomic_fetch_sub(&conn_unsent, 1);
}

int conn_lock_write(struct conn_op *op) {
  int rc = lock_outer(op, &op->s->wlock, &op->s->w_busy);
  if (rc)
    return rc;
  rc = conn_check_write(op->s);
  if (rc)
    unlock_outer(op, &op->s->wlock, &op->s->w_busy);
  return rc;
}

void conn_unlock_write(struct conn_op *op) {
  count_unsent(op);
  unlock_outer(op, &op->s->wlock, &op->s->w_busy);
}

void conn_unlock_write_masked(struct conn_op *op) {
  count_unsent(op);
  unlock_side(&op->s->wlock, &op->s->w_busy);
  op->masked = true;
}

void conn_unmask(struct conn_op *op) {
  if (op->masked)
    lock_signals_restore(&op->signals);
  op->masked = false;
}

int conn_nest_write(struct conn_op *op, bool try) {
  int rc = lock_side(op, &op->s->wlock, &op->s->w_busy, try);
  if (rc == 0 && conn_check_write(op->s)) {
    unlock_side(&op->s->wlock, &op->s->w_busy);
    return -ECONNRESET;
  }
  return rc;
}

void conn_unnest_write(struct conn_op *op) {
  count_unsent(op);
  unlock_side(&op->s->wlock, &op->s->w_busy);
}

/* ---- cipher contexts --------------------------------------------------------------------------------- */
static struct record_ctx *context(struct record_ctx **ctx, uint32_t *epoch, const struct arena_side *side,
                                  uint16_t cipher, int seal) {
  if (*ctx && *epoch == side->epoch)
    return *ctx;
  struct record_ctx *old = *ctx;
  *ctx = NULL; /* first: a fork() in between must not leave the child a pointer to freed memory */
  record_ctx_free(old);
  *epoch = side->epoch;
  *ctx = record_ctx_new(side, cipher, seal);
  return *ctx;
}

struct record_ctx *conn_rx(struct conn_op *op) {
  return context(&op->c->rx, &op->c->rx_epoch, &op->s->rx, op->s->cipher, 0);
}

struct record_ctx *conn_tx(struct conn_op *op) {
  return context(&op->c->tx, &op->c->tx_epoch, &op->s->tx, op->s->cipher, 1);
}

void conn_drop_contexts(struct conn *c) {
  struct record_ctx *rx = c->rx, *tx = c->tx;
  c->rx = c->tx = NULL;
  record_ctx_free(rx);
  record_ctx_free(tx);
}

/* ---- life cycle -------------------------------------------------------------------------------------- */
int conn_move(struct conn *c, int fd, int (*give)(void *arg), void *arg) {
  struct conn_op op;
  int keep = errno, rc = conn_begin(&op, c, fd);
  if (rc == 0) {
    rc = conn_lock_read(&op);
    if (rc == 0) {
      rc = conn_nest_write(&op, false);
      if (rc == 0) {
        rc = c->slot->w_error ? -c->slot->w_error : give(arg);
        conn_unnest_write(&op);
      }
      conn_unlock_read(&op);
    }
    conn_end(&op);
  }
  errno = keep;
  return rc;
}

bool conn_moved(const struct conn *c) {
  return c->slot && c->slot->use == c->use &&
         atomic_load_explicit(&c->slot->state, memory_order_relaxed) == ARENA_MOVED;
}

/* The daemon takes a slot back when nobody holds the socket any more, also where a close went past us: then it may be
 * another connection's by now. */
static bool still_ours(const struct conn *c) { return c->slot && c->slot->use == c->use && !atomic_load(&c->closed); }

void conn_hold(struct conn *c) {
  if (still_ours(c))
    atomic_fetch_add(&c->slot->holders, 1);
}

void conn_unhold(struct conn *c) {
  if (still_ours(c))
    atomic_fetch_sub(&c->slot->holders, 1);
}

void conn_after_fork(struct conn *c) {
  conn_memory_after_fork();
  atomic_store(&c->users, 0); /* the threads that were at work are not here */
  c->rx_epoch = c->tx_epoch = CONN_EPOCH_NONE;
}

static void wipe(struct arena_slot *s) {
  OPENSSL_cleanse(&s->rx, sizeof s->rx);
  OPENSSL_cleanse(&s->tx, sizeof s->tx);
  if (s->r_dirty || s->r_len || s->r_have)
    OPENSSL_cleanse(arena_rbuf(s), ARENA_RBUF);
  s->r_have = s->r_off = s->r_len = s->w_off = s->w_len = 0;
  s->r_hs_have = 0;
  s->r_error = s->w_error = EBADF;
}

/* Is there data that the program never read? Then TCP resets the connection on close(), and a clean end would
 * be a lie. A close_notify that nobody looked at yet is no data. */
static bool unread(struct conn_op *op) {
  struct arena_slot *s = op->s;
  if (s->r_eof == ARENA_EOF_SHUT)
    s->r_eof = ARENA_EOF_NONE;
  if (op->fd < 0)
    return false;
  conn_fill(op);
  return s->r_len > 0 || s->r_have > 0;
}

static void last_close(struct conn_op *op) {
  struct conn *c = op->c;
  if (atomic_load(&op->s->state) == ARENA_MOVED) { /* wiped, and nothing of ours to end */
    c->releases = 1;
    return;
  }
  int r = lock_side(op, &op->s->rlock, &op->s->r_busy, false);
  bool clean =
      r == 0 && !revoked_error(op->s) && !unread(op); /* before the write lock: it may have to send an alert */
  int w = lock_side(op, &op->s->wlock, &op->s->w_busy, false);
  if (w == 0 && clean && conn_check_write(op->s) == 0 && op->fd >= 0 && !conn_leave_behind(op))
    conn_send_close_notify(op, true);
  if (r == 0 && w == 0) {
    wipe(op->s);
    c->punched_ms = 0;
    conn_punch(op);
    c->releases = 1;
  }
  if (w == 0)
    conn_unnest_write(op);
  if (r == 0)
    unlock_side(&op->s->rlock, &op->s->r_busy);
}

/* Waits until no other call of this process is where it uses a number that it looked up before. */
static void others_pass(struct conn_op *op) {
  if (lock_side(op, &op->s->rlock, &op->s->r_busy, false) == 0)
    unlock_side(&op->s->rlock, &op->s->r_busy);
  if (lock_side(op, &op->s->wlock, &op->s->w_busy, false) == 0)
    unlock_side(&op->s->wlock, &op->s->w_busy);
}

void conn_number_left(struct conn *c, int fd) {
  struct conn_op op;
  lock_signals saved;
  if (atomic_load(&c->users) == 0 || conn_begin(&op, c, fd))
    return;
  int keep = errno;
  lock_signals_block(&saved);
  if (still_ours(c))
    others_pass(&op);
  conn_end(&op);
  lock_signals_restore(&saved);
  errno = keep;
}

void conn_close(struct conn *c, int fd) {
  struct conn_op op;
  int keep = errno;
  lock_signals saved;
  if (conn_begin(&op, c, fd))
    return;
  bool ours = still_ours(c);
  if (ours && fd >= 0 && atomic_load(&c->slot->holders) == 1)
    conn_flush_at_end(c, fd);
  lock_signals_block(&saved);
  if (!atomic_exchange(&c->closed, 1) && ours) {
    bool moved = atomic_load(&c->slot->state) == ARENA_MOVED;
    if (atomic_load(&c->users) > 1)
      others_pass(&op);
    if (atomic_fetch_sub(&c->slot->holders, 1) == 1)
      last_close(&op);
    else
      moved = true;
    if (moved && c->counted) { /* what is unsent is somebody else's affair */
      c->counted = 0;
      atomic_fetch_sub(&conn_unsent, 1);
    }
  }
  conn_end(&op);
  lock_signals_restore(&saved);
  errno = keep;
}

void conn_free(struct conn *c) {
  lock_signals saved;
  if (c->rx || c->tx) {
    lock_signals_block(&saved);
    conn_drop_contexts(c);
    lock_signals_restore(&saved);
  }
  c->slot = NULL;
}
