/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn_write.c - from the program's buffers into the kernel's send queue.
 *
 * A record, once sealed, must leave whole: after EAGAIN a program may change its mind about what to send.
 * SO_MEMINFO tells how much room the send buffer has, and a record that fits is taken whole (measured, but
 * for small segments, whose overhead counts too: half of it is left for that). So records are cut to the
 * room, some of which is always kept for a close_notify, and what the program is told was written is in
 * the kernel. The answer is kept as a credit: only sending uses the room up.
 *
 * EAGAIN is returned if and only if poll() says that the socket is not writable. That poll() is also what
 * makes the kernel raise an edge when room is there again, as a send() of the program would have.
 *
 * All the same a send may be partial (memory pressure, TCP_NOTSENT_LOWAT). Then the ciphertext is kept in
 * the slot, in front of everything else, and sent from every later call. Nothing is ever sealed twice
 * under one sequence number.
 */
#include "conn_int.h"

#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define RESERVE         512u  /* of the send buffer, for a close_notify and an alert */
#define SKB_OVERHEAD    960u  /* what the kernel charges for a segment beside its bytes (measured: 833) */
#define LITTLE          1024u /* less room than this is not used without asking poll() */
#define CONTROL_WIRE    64u   /* any control record of ours */
#define KEY_UPDATE_WIRE 27u
#define TCP_PIECE       32768u /* the kernel copies into its own memory by so much at once */
#define FORCED          256u   /* when poll() says writable and SO_MEMINFO cannot tell for how much */

/* ---- room -------------------------------------------------------------------------------------------- */
static uint32_t room_now(int fd) {
  uint32_t info[SK_MEMINFO_VARS];
  socklen_t len = sizeof info;
  if (conn_sys(libc_real()->syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_MEMINFO, info, &len)) != 0)
    return 0;
  int64_t room = (int64_t)info[SK_MEMINFO_SNDBUF] - info[SK_MEMINFO_WMEM_QUEUED];
  /* The other half is overhead: small segments are charged about twice their bytes. */
  room = (room - RESERVE - SKB_OVERHEAD) / 2;
  return room > 0 ? (uint32_t)(room < INT32_MAX ? room : INT32_MAX) : 0;
}

/* How many bytes of sealed records may be sent now, `want` or less; 0: EAGAIN. */
static size_t room_for(struct conn_op *op, size_t want) {
  struct arena_slot *s = op->s;
  if (!s->w_tight) {
    if (s->w_room >= want)
      return want;
    s->w_room = room_now(op->fd);
    if (s->w_room >= want || s->w_room >= LITTLE)
      return s->w_room < want ? s->w_room : want;
  }
  int ready = conn_sys_poll(op->fd, POLLOUT, 0);
  if (!ready)
    return 0;
  s->w_room = room_now(op->fd);
  if (s->w_room < FORCED) /* an error is waiting (the send fetches it), or a very small buffer */
    s->w_room = FORCED;
  s->w_tight = 0;
  return s->w_room < want ? s->w_room : want;
}

static void room_used(struct arena_slot *s, size_t wire) {
  size_t cost = wire + SKB_OVERHEAD / 2;
  s->w_room = s->w_room > cost ? s->w_room - (uint32_t)cost : 0;
}

/* ---- sending ----------------------------------------------------------------------------------------- */
static int failed(struct conn_op *op, int err) {
  /* What was sealed is lost and its sequence numbers with it. TCP tells the reason once, then EPIPE. */
  if (!op->s->w_error)
    op->s->w_error = EPIPE;
  op->s->w_len = 0;
  return -err;
}

int conn_flush_locked(struct conn_op *op) {
  struct arena_slot *s = op->s;
  while (s->w_len > 0) {
    long n = conn_sys_send(op->fd, arena_wbuf(s) + s->w_off, s->w_len, 0);
    if (n == -EAGAIN)
      return 1;
    if (n < 0)
      return failed(op, (int)-n);
    s->w_off += (uint32_t)n;
    s->w_len -= (uint32_t)n;
  }
  s->w_off = 0;
  if (s->w_dirty && madvise(arena_wbuf(s), ARENA_WBUF, MADV_REMOVE) == 0)
    s->w_dirty = 0;
  return 0;
}

/* What a side sends first may follow a flight of its own that the peer may acknowledge late (40 ms): the last one of
 * a client's handshake, a server's tickets. Nagle's algorithm would hold the bytes back for that long, or until a
 * reset drops them, where over plain TCP nothing is on its way. */
static bool follows_handshake(const struct arena_slot *s) {
  uint64_t records = atomic_load_explicit(&s->records_out, memory_order_relaxed);
  return records <= 1 && s->tx.epoch == 0 && (s->role == ARENA_CLIENT || s->tx.seq > records);
}

static long send_first(struct conn_op *op, const uint8_t *wire, size_t len, int flags) {
  const struct libc_table *libc = libc_real();
  const int on = 1, off = 0;
  int nodelay = 1;
  socklen_t size = sizeof nodelay;
  if (libc->getsockopt(op->fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &size) != 0 || nodelay)
    return conn_sys_send(op->fd, wire, len, flags);
  libc->setsockopt(op->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  long n = conn_sys_send(op->fd, wire, len, flags);
  libc->setsockopt(op->fd, IPPROTO_TCP, TCP_NODELAY, &off, sizeof off);
  return n;
}

/* Sends sealed records; what the kernel does not take is kept. The write buffer is empty. */
static int send_sealed(struct conn_op *op, const uint8_t *wire, size_t len, int flags) {
  struct arena_slot *s = op->s;
  long n = follows_handshake(s) ? send_first(op, wire, len, flags & MSG_MORE)
                                : conn_sys_send(op->fd, wire, len, flags & MSG_MORE);
  if (n < 0 && n != -EAGAIN)
    return failed(op, (int)-n);
  size_t sent = n < 0 ? 0 : (size_t)n;
  room_used(s, len);
  if (sent == len)
    return 0;
  memcpy(arena_wbuf(s), wire + sent, len - sent);
  s->w_off = 0;
  s->w_len = (uint32_t)(len - sent);
  s->w_dirty = s->w_tight = 1;
  s->w_room = 0;
  return 0;
}

/* ---- sealing ----------------------------------------------------------------------------------------- */
static int seal(struct conn_op *op, uint8_t type, const struct iovec *iov, int cnt, size_t skip, size_t n,
                uint8_t *out) {
  struct record_ctx *tx = conn_tx(op);
  if (!tx)
    return -ENOMEM;
  int len = record_seal(tx, &op->s->tx, type, iov, cnt, skip, n, out);
  if (len < 0) {
    op->s->w_error = ECONNRESET;
    return -ECONNRESET;
  }
  atomic_fetch_add_explicit(&op->s->records_out, 1, memory_order_relaxed);
  return len;
}

/* A KeyUpdate under the present keys, and on to the next ones. */
static int seal_key_update(struct conn_op *op, uint8_t *out) {
  uint8_t update[5] = {24, 0, 0, 1, 0}; /* update_not_requested */
  struct iovec iov = {update, sizeof update};
  int len = seal(op, RECORD_HANDSHAKE, &iov, 1, 0, sizeof update, out);
  if (len < 0)
    return len;
  atomic_store(&op->s->w_key_update, 0);
  if (record_side_update(&op->s->tx, op->s->cipher)) {
    op->s->w_error = ECONNRESET;
    return -ECONNRESET;
  }
  return len;
}

int conn_send_control(struct conn_op *op, uint8_t type, const uint8_t *p, size_t n, int flags) {
  uint8_t wire[CONTROL_WIRE];
  struct iovec iov = {(void *)(uintptr_t)p, n};
  if (op->s->w_len > 0 || n + RECORD_OVERHEAD > sizeof wire)
    return -EAGAIN;
  int len = seal(op, type, &iov, 1, 0, n, wire);
  return len < 0 ? len : send_sealed(op, wire, (size_t)len, flags);
}

int conn_send_key_update(struct conn_op *op) {
  uint8_t wire[CONTROL_WIRE];
  if (op->s->w_len > 0 || room_for(op, KEY_UPDATE_WIRE) < KEY_UPDATE_WIRE)
    return -EAGAIN;
  int len = seal_key_update(op, wire);
  return len < 0 ? len : send_sealed(op, wire, (size_t)len, 0);
}

/* Seals from cur as many records as fit `most` bytes on the wire. Their length; *took: plaintext in them. */
static int seal_batch(struct conn_op *op, const struct conn_cursor *cur, size_t most, uint8_t *wire, size_t *took) {
  struct conn_cursor at = *cur;
  size_t len = 0;
  *took = 0;
  while (at.left > 0) {
    int n;
    if (atomic_load_explicit(&op->s->w_key_update, memory_order_relaxed) ||
        record_side_worn(&op->s->tx, op->s->cipher)) {
      if (most - len < KEY_UPDATE_WIRE)
        break;
      n = seal_key_update(op, wire + len);
      if (n < 0)
        return n;
      len += (size_t)n;
    }
    if (most - len <= RECORD_OVERHEAD)
      break;
    size_t content = most - len - RECORD_OVERHEAD;
    if (content > at.left)
      content = at.left;
    if (content > RECORD_PLAIN_MAX)
      content = RECORD_PLAIN_MAX;
    n = seal(op, RECORD_DATA, at.iov, at.cnt, at.off, content, wire + len);
    if (n < 0)
      return n;
    len += (size_t)n;
    *took += content;
    conn_cursor_skip(&at, content);
  }
  return (int)len;
}

/* How much of the next n bytes the program's memory has; what TCP takes before a bad page is some 32 KiB or nothing.
 */
static size_t there(const struct conn_cursor *cur, size_t n) {
  size_t good = conn_cursor_readable(cur, n);
  return good == n ? n : good / TCP_PIECE * TCP_PIECE;
}

/* One send: seals what there is room for. 0, -EAGAIN, or the connection's error. */
static int write_batch(struct conn_op *op, struct conn_cursor *cur, int flags) {
  uint8_t small[CONN_SMALL_WRITE + RECORD_OVERHEAD + KEY_UPDATE_WIRE], *wire = small;
  size_t records = (cur->left + RECORD_PLAIN_MAX - 1) / RECORD_PLAIN_MAX, took;
  size_t want = records > 4 ? CONN_SCRATCH : cur->left + records * RECORD_OVERHEAD + KEY_UPDATE_WIRE;
  if (op->s->w_tight && want > RECORD_WIRE_MAX)
    want = RECORD_WIRE_MAX; /* one record may be left over, not four */
  size_t most = room_for(op, want);
  if (flags & CONN_KEEP)
    most = want;
  if (most == 0)
    return -EAGAIN;
  struct conn_cursor good = *cur;
  good.left = there(cur, cur->left < most ? cur->left : most);
  if (good.left == 0) { /* TCP looks at the connection first: has it an error to tell? */
    long n = conn_sys_send(op->fd, NULL, 0, 0);
    return n < 0 && n != -EAGAIN ? failed(op, (int)-n) : -EFAULT;
  }
  if (most > sizeof small) {
    wire = conn_scratch_get();
    if (!wire && (flags & CONN_KEEP))
      return -ENOMEM;
    if (!wire) { /* no memory: little by little */
      wire = small;
      most = sizeof small;
    }
  }
  int rc = seal_batch(op, &good, most, wire, &took);
  if (rc > 0)
    rc = send_sealed(op, wire, (size_t)rc, flags);
  if (rc == 0) {
    atomic_fetch_add_explicit(&op->s->bytes_out, took, memory_order_relaxed);
    conn_cursor_skip(cur, took);
  }
  if (wire != small)
    conn_scratch_put(wire);
  return rc;
}

/* Under the write lock: sends until all is written or the kernel has no room. 0 or a negative errno. */
static int write_locked(struct conn_op *op, struct conn_cursor *cur, int flags) {
  struct arena_slot *s = op->s;
  do {
    if (s->w_error || s->w_shut) {
      int err = s->w_error && s->w_error != EPIPE ? s->w_error : conn_kernel_error(op->fd);
      return err ? -err : -EPIPE;
    }
    int rc = conn_flush_locked(op);
    if (rc < 0)
      return rc;
    if (rc == 1) {
      conn_sys_poll(op->fd, POLLOUT, 0); /* for the edge */
      return -EAGAIN;
    }
    if (cur->left == 0) { /* nothing to send; the kernel knows whether there is an error to tell */
      long n = conn_sys_send(op->fd, NULL, 0, 0);
      return n < 0 && n != -EAGAIN ? failed(op, (int)-n) : 0;
    }
    rc = write_batch(op, cur, flags);
    if (rc)
      return rc;
  } while (cur->left > 0);
  return 0;
}

static int write_step(struct conn_op *op, struct conn_cursor *cur, int flags) {
  int rc = conn_lock_write(op);
  if (rc)
    return rc;
  rc = write_locked(op, cur, flags);
  /* Sealed and not sent: a blocking call waits until it is. */
  if (rc == 0 && op->s->w_len > 0)
    rc = -EAGAIN;
  if (rc == -EAGAIN && op->alert < 0)
    conn_unlock_write_masked(op); /* conn_wait_write() is next */
  else
    conn_unlock_write(op);
  return rc;
}

static ssize_t write_all(struct conn_op *op, struct conn_cursor *cur, int flags) {
  struct conn_wait wait = {0};
  const size_t total = cur->left;
  int pass = flags & (MSG_MORE | CONN_KEEP);
  for (;;) {
    int rc = write_step(op, cur, pass);
    if (rc == -EAGAIN) {
      wait.some = cur->left < total;
      rc = conn_wait_write(op, flags, &wait);
      if (rc == 0)
        continue;
      if (rc != -EBADF)
        rc = conn_error(op, rc);
    }
    ssize_t done = (ssize_t)(total - cur->left);
    if (done > 0 || rc == 0)
      return done;
    if (rc == -EPIPE || rc == -ECONNRESET)
      rc = -conn_look_for_alert(op, -rc);
    if (rc == -EPIPE && !(flags & MSG_NOSIGNAL))
      raise(SIGPIPE);
    return rc;
  }
}

ssize_t conn_writev(struct conn *c, int fd, const struct iovec *iov, int iovcnt, int flags) {
  struct conn_op op;
  struct conn_cursor cur;
  int keep = errno;
  ssize_t n = flags & MSG_OOB ? -EOPNOTSUPP : conn_cursor_init(&cur, iov, iovcnt);
  if (n == 0 && (flags & MSG_ZEROCOPY) && conn_zerocopy(fd))
    n = -ENOBUFS; /* as where no page can be locked: the program sends it without */
  if (n == 0)
    n = conn_begin(&op, c, fd);
  if (n == 0) {
    n = write_all(&op, &cur, flags);
    conn_end(&op);
  }
  errno = n < 0 ? (int)-n : keep;
  return n < 0 ? -1 : n;
}

int conn_flush(struct conn *c, int fd) {
  struct conn_op op;
  int keep = errno, rc = conn_begin(&op, c, fd);
  if (rc == 0) {
    rc = conn_lock_write(&op);
    if (rc == 0) {
      rc = conn_flush_locked(&op);
      conn_unlock_write(&op);
    }
    conn_end(&op);
  }
  errno = rc < 0 ? -rc : keep;
  return rc < 0 ? -1 : rc;
}
