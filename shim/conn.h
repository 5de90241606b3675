/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn.h - I/O on an authenticated connection: the record engine around the program's own TCP socket.
 *
 * The state is in the connection's arena slot, shared with forked processes; what is here is this
 * process's view of it (cipher contexts). Invariant: the TCP socket is readable for the kernel if and
 * only if the program can read something, or bytes have arrived that nobody has looked at yet.
 *
 * All calls answer as the system call they stand for: a result, or -1 and errno. errno is left alone
 * on success. They block as the kernel would for this descriptor (O_NONBLOCK, SO_RCVTIMEO, MSG_DONTWAIT,
 * EINTR, SA_RESTART), never with a lock held.
 */
#ifndef SHIM_CONN_H
#define SHIM_CONN_H

#include "lock.h"
#include "svidwrap/arena.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

struct record_ctx; /* shim/record: one direction's cipher context, of one epoch */

struct conn {
  struct arena_slot *slot;
  uint32_t use;               /* slot->use when it was taken */
  struct record_ctx *rx, *tx; /* made at conn_take(); made again after fork and KeyUpdate */
  uint32_t rx_epoch, tx_epoch;
  uint64_t punched_ms;    /* when the slot's buffers were last given back to the kernel */
  _Atomic uint32_t users; /* calls at work here, without those that sleep: the slot is not released under them */
  _Atomic uint8_t closed; /* 1: conn_close() ran in this process; 2: and the last user has left */
  uint8_t releases;       /* this process held the connection last: the last user releases the slot */
  _Atomic int lowat;      /* SO_RCVLOWAT as the program set it, kept here: the kernel would count sealed bytes */
  uint8_t counted;        /* this connection is counted in conn_unsent (under wlock) */
  uint8_t *sealed;    /* where reads put what the network gave, size_sealed bytes; NULL: a buffer of the process */
  size_t size_sealed; /* more than a few records, and more are taken at a time */
};

/* Told, with no lock held, of every alert that ended a connection: received, or sent because of what the
 * peer sent. fd is the number of the call that met it. NULL: nobody wants to know. */
extern void (*conn_on_alert)(struct conn *c, int fd, int alert, bool received);

/* Takes a READY slot for this process: initialises its locks, derives keys, sets LIVE, holders = 1.
 * 0 or a negative errno (the caller then closes the socket; nothing was sent). use must equal slot->use. */
int conn_take(struct conn *c, struct arena_slot *slot, uint32_t use);

/* A LIVE slot that another process has taken, and that this one is a holder of. */
void conn_join(struct conn *c, struct arena_slot *slot, uint32_t use);

/* Scatter/gather read and write. flags: MSG_PEEK, MSG_WAITALL, MSG_DONTWAIT, MSG_TRUNC, MSG_NOSIGNAL,
 * MSG_MORE; MSG_OOB answers EINVAL (read) or EOPNOTSUPP (write). */
ssize_t conn_readv(struct conn *c, int fd, const struct iovec *iov, int iovcnt, int flags);
ssize_t conn_writev(struct conn *c, int fd, const struct iovec *iov, int iovcnt, int flags);

/* A flag of ours for conn_writev() of up to RECORD_PLAIN_MAX bytes that cannot be given back (they came out of a
 * pipe): accepted even where there is no room, as sealed bytes that are still to be sent. */
#define CONN_KEEP 0x00800000

/* Is the next connect() the first to hear that the socket is connected? Tells whether it was, and what it is from
 * here on. It is the connection's affair and not the process's: forked processes share it. */
bool conn_connect0(struct conn *c, bool next);

/* shutdown(): SHUT_WR flushes and sends close_notify, then half-closes TCP. */
int conn_shutdown(struct conn *c, int fd, int how);

/* This process's last number for the connection is about to be closed. When no other process holds it:
 * flushes what was sealed (bounded wait), sends close_notify (never blocks for it), wipes the slot and
 * marks it ARENA_RELEASED (at once, or when the last call still at work on it returns). fd -1: the number
 * is gone already; nothing is sent. The caller closes fd afterwards. */
void conn_close(struct conn *c, int fd);
/* Asked by conn_close(), with both sides locked, where the kernel has bytes that the peer has no room for yet
 * (close_notify and FIN may be among them): somebody else is to hold the socket until they are acknowledged, for fd
 * is closed next. 0: somebody does, the slot is moved; or a negative errno. Bounds its wait. pair: where the end of a
 * stream goes that is closed when the connection is; NULL: it is. NULL: nobody to ask. */
extern int (*conn_stay_behind)(struct conn *c, int fd, int *pair);
/* shutdown() of both directions, or of the second one, with such bytes: the kernel would answer anything that comes
 * by a reset, held or not. true: somebody else holds the socket (as for conn_stay_behind, which this asks),
 * close_notify is sent, and *pair is what the program's numbers are to be from here on, shut down both ways. */
bool conn_shut_behind(struct conn *c, int fd, int how, int *pair);
/* A number of the connection is about to be closed, which has others: calls at work on it (in other threads) leave
 * it, for it may be another file's soon. It is out of the table already, and still open. */
void conn_number_left(struct conn *c, int fd);
/* Frees the process's own contexts; after conn_close(), when no hook uses the connection any more. */
void conn_free(struct conn *c);

/* Around fork(): the parent adds a holder before (and takes it back when fork fails); the child makes
 * its own cipher contexts on first use. */
void conn_hold(struct conn *c);
void conn_unhold(struct conn *c);
void conn_after_fork(struct conn *c);

/* The connection changes hands in mid-stream: give() is called with both sides locked, and hands the slot on (the
 * daemon then makes it ARENA_MOVED). The one wait that is made under these locks; give() bounds it. 0, or the
 * negative errno of give() or of a connection that is at its end. */
int conn_move(struct conn *c, int fd, int (*give)(void *arg), void *arg);
/* Has it been moved, by whichever process? */
bool conn_moved(const struct conn *c);
/* The other end of that: a copy of the slot, in private memory, that somebody else may have written to. Checks it and
 * makes it a connection of this process. 0 or -EPROTO, -ENOMEM. */
int conn_adopt(struct conn *c, struct arena_slot *slot);

/* The daemon has ended it: every call on it fails. */
bool conn_revoked(const struct conn *c);

/* This process has, or had, a connection of its own. */
extern _Atomic bool conn_any;

/* The socket is readable: is there only a piece of a record, of which a read has nothing? It is taken out of the
 * kernel then. */
bool conn_piece(struct conn *c, int fd);

/* Socket options that would change what the record engine's own system calls do are put back to their defaults, and
 * SO_RCVLOWAT is kept: from, the socket that has the program's values; to, the one that gets the defaults, or, where
 * it is in plaintext (c is NULL), those values: the daemon had taken them away. */
void conn_take_options(struct conn *c, int from, int to);
/* And back, where the socket is the kernel's again. */
void conn_give_options(const struct conn *c, int fd);

/* FIONREAD / SIOCINQ: plaintext bytes that a read would return at once (at least 1 when readable). */
int conn_fionread(struct conn *c, int fd, int *bytes);

/* SO_ERROR answered err (EPIPE, ECONNRESET): is the reason an alert that came first? The errno for the program.
 * 0: is there an error that was taken from the kernel and not told yet (conn_error_waits())? */
bool conn_error_waits(const struct conn *c);
int conn_reason(struct conn *c, int fd, int err);

/* Sealed bytes that the kernel has not taken. conn_unsent counts connections of this process that have
 * some (rare: memory pressure); the wait hooks flush those. conn_flush: 0 nothing is left, 1 some is,
 * -1 and errno. */
extern _Atomic uint32_t conn_unsent;
int conn_flush(struct conn *c, int fd);

#endif
