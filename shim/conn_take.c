/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn_take.c - how a connection begins in this process: a slot that the daemon has filled, one that another process
 * or the image before exec has had, one that the relay was given. What comes out of a slot is not believed unchecked.
 */
#include "conn_int.h"

#include <string.h>

static int init_lock(pthread_mutex_t *m) {
  pthread_mutexattr_t a;
  int rc = pthread_mutexattr_init(&a);
  if (rc == 0)
    rc = pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
  if (rc == 0)
    rc = pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
  if (rc == 0)
    rc = pthread_mutex_init(m, &a);
  return -rc;
}

/* The daemon may have sent or read the first records itself. */
static int side_begin(struct arena_side *side, uint16_t cipher) {
  uint64_t seq = side->seq;
  int rc = record_side_init(side, cipher);
  side->seq = seq;
  return rc;
}

static int take(struct conn *c, struct arena_slot *slot, uint32_t use) {
  if (slot->magic != ARENA_SLOT_MAGIC || slot->use != use || atomic_load(&slot->state) != ARENA_READY)
    return -ESTALE;
  if (atomic_load(&slot->revoked))
    return -ECONNABORTED;
  if (record_hash_len(slot->cipher) == 0 || slot->role > ARENA_SERVER)
    return -EPROTO;
  memset(&slot->r_have, 0, (size_t)((uint8_t *)&slot->w_off - (uint8_t *)&slot->r_have));
  slot->w_off = slot->w_len = slot->w_busy = slot->w_room = 0;
  slot->w_shut = slot->w_dirty = slot->w_tight = 0;
  slot->connect0 = 0;
  slot->w_error = 0;
  atomic_store(&slot->w_key_update, 0);
  int rc = init_lock(&slot->rlock);
  if (!rc)
    rc = init_lock(&slot->wlock);
  if (rc)
    return rc;
  if (side_begin(&slot->rx, slot->cipher) || side_begin(&slot->tx, slot->cipher))
    return -ENOMEM;
  c->rx = record_ctx_new(&slot->rx, slot->cipher, 0);
  c->tx = record_ctx_new(&slot->tx, slot->cipher, 1);
  c->rx_epoch = slot->rx.epoch;
  c->tx_epoch = slot->tx.epoch;
  if (!c->rx || !c->tx)
    return -ENOMEM;
  uint32_t ready = ARENA_READY;
  atomic_store(&slot->holders, 1);
  return atomic_compare_exchange_strong(&slot->state, &ready, ARENA_LIVE) ? 0 : -ESTALE;
}

int conn_take(struct conn *c, struct arena_slot *slot, uint32_t use) {
  atomic_store(&conn_any, true);
  int keep = errno;
  lock_signals saved; /* a handler must not find libcrypto half set up */
  lock_signals_block(&saved);
  memset(c, 0, sizeof *c);
  int rc = take(c, slot, use);
  if (rc) {
    conn_drop_contexts(c);
  } else {
    c->use = use;
    c->slot = slot;
  }
  lock_signals_restore(&saved);
  errno = keep;
  return rc;
}

void conn_join(struct conn *c, struct arena_slot *slot, uint32_t use) {
  atomic_store(&conn_any, true);
  memset(c, 0, sizeof *c);
  c->slot = slot;
  c->use = use;
  c->rx_epoch = c->tx_epoch = CONN_EPOCH_NONE; /* as in a child: contexts are made on first use */
}

int conn_adopt(struct conn *c, struct arena_slot *slot) {
  memset(c, 0, sizeof *c);
  atomic_store(&conn_any, true);
  if (record_hash_len(slot->cipher) == 0 || slot->role > ARENA_SERVER || slot->r_have > ARENA_RBUF ||
      slot->r_off > ARENA_RBUF || slot->r_len > ARENA_RBUF - slot->r_off || slot->r_hs_have >= sizeof slot->r_hs ||
      conn_check_write(slot) || slot->peer_id_len > sizeof slot->peer_id || slot->peer_len > sizeof slot->peer)
    return -EPROTO;
  slot->r_busy = slot->w_busy = slot->w_room = 0;
  int rc = init_lock(&slot->rlock);
  if (!rc)
    rc = init_lock(&slot->wlock);
  if (rc)
    return -ENOMEM;
  atomic_store(&slot->holders, 1);
  atomic_store(&slot->state, ARENA_LIVE);
  c->rx_epoch = c->tx_epoch = CONN_EPOCH_NONE;
  c->use = slot->use;
  c->slot = slot;
  return 0;
}
