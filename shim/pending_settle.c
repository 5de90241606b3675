/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pending_settle.c - the daemon's answer, and what becomes of the sock.
 *
 * The answer is only ever peeked at: forked processes share the reply socket, and each of them must find
 * it. Whoever sees it first takes the slot or lets the TCP socket fail; nobody waits in here for the peer.
 */
#include "pending_int.h"

#include "epollreg.h"
#include "libc.h"
#include "plain.h"
#include "shared.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

/* -- leaving the PENDING state; under pending_gate and s->lock -- */

static bool leave(struct sock *s, struct pending *p, enum sock_kind kind) {
  if (s->pending != p || atomic_load(&s->kind) != SOCK_PENDING)
    return false;
  if (kind != SOCK_FAILED)
    s->pending = NULL;
  atomic_store(&s->kind, (uint32_t)kind);
  atomic_fetch_sub(&pending_count, 1);
  return true;
}

struct un {
  const struct sock *s;
  int fd[64];
  int n;
};

static void collect(int fd, struct sock *s, void *arg) {
  struct un *u = arg;
  if (s == u->s && u->n < 64)
    u->fd[u->n++] = fd;
}

static void make_plain(struct sock *s, int fd) {
  uintptr_t expected = (uintptr_t)s;
  if ((unsigned)fd >= FDTAB_MAX || atomic_load(&fdtab_entry[fd]) != expected)
    return;
  /* fdtab_fresh() also forgets what the number is and where it is watched; that has not changed. */
  uint8_t flags = atomic_exchange(&fdtab_flags[fd], 0);
  fdtab_fresh(fd);
  atomic_store(&fdtab_flags[fd], flags);
  if (!(flags & FDF_PLAIN))
    shared_again(fd);
}

void pending_unmanage(struct sock *s, int fd) {
  conn_give_options(&s->conn, fd);
  if (atomic_load(&s->fds) == 1) {
    make_plain(s, fd);
    return;
  }
  struct un u;
  do {
    u.s = s;
    u.n = 0;
    fdtab_each(collect, &u);
    for (int i = 0; i < u.n; i++)
      make_plain(s, u.fd[i]);
  } while (u.n == 64);
}

/* -- failure -- */

static bool still_there(struct sock *s, const struct pending *p, int fd) {
  return !p->closed && (unsigned)fd < FDTAB_MAX && atomic_load(&fdtab_entry[fd]) == (uintptr_t)s;
}

void pending_fail(struct sock *s, struct pending *p, int fd, int err) {
  LOCK_NO_CANCEL;
  lock_signals saved, inner;
  int keep = errno;
  lock_take(&pending_gate, &saved);
  lock_take(&s->lock, &inner);
  bool left = false;
  if (s->pending == p && atomic_load(&s->kind) == SOCK_PENDING) {
    enum cell_state before = cell_begin(p->cell);
    p->err = before == CELL_FAILED && p->cell->err ? p->cell->err : err;
    if (before == CELL_OPEN) {
      /* RST to the peer; then the poll masks of a connect() that failed. The daemon may hold a copy yet. */
      if (still_there(s, p, fd)) {
        pending_disconnect(fd);
        libc_real()->shutdown(fd, SHUT_RDWR);
      }
      cell_failed(p->cell, p->err);
    }
    left = leave(s, p, SOCK_FAILED);
    cell_drop(p->cell);
  }
  lock_drop(&s->lock, &inner);
  lock_drop(&pending_gate, &saved);
  if (left) {
    epollreg_back(p, true);
    /* Whatever the daemon is at, it may stop; other processes find the failure in the cell. */
    int reply = pending_reply(p);
    if (reply >= 0)
      libc_real()->shutdown(reply, SHUT_RDWR);
  }
  errno = keep;
}

static bool tcp_is_closed(int fd) {
  struct tcp_info info;
  socklen_t len = sizeof info;
  memset(&info, 0, sizeof info);
  return libc_real()->getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_state == TCP_CLOSE;
}

void pending_native(struct sock *s, struct pending *p, int fd) {
  lock_signals saved, inner;
  lock_take(&pending_gate, &saved);
  lock_take(&s->lock, &inner);
  bool ours = still_there(s, p, fd) && tcp_is_closed(fd);
  bool left = ours && leave(s, p, SOCK_FAILED);
  if (left) {
    s->pending = NULL;
    cell_drop(p->cell);
  }
  lock_drop(&s->lock, &inner);
  lock_drop(&pending_gate, &saved);
  if (left) {
    epollreg_back(p, true);
    pending_unmanage(s, fd);
    pending_unpin(p);
  } else if (!ours) {
    pending_fail(s, p, fd, ECONNREFUSED); /* whatever the daemon meant: a live TCP socket is never let go */
  }
}

void pending_plain(struct sock *s, struct pending *p, int fd, uint32_t why) {
  lock_signals saved, inner;
  bool first = false, left = false;
  int keep = errno;
  if (why && plain_ask(fd, &p->rule, why, (const struct sockaddr *)&p->dest, p->dest_len, &p->hosts) != 0) {
    pending_fail(s, p, fd, ECONNREFUSED);
    return;
  }
  lock_take(&pending_gate, &saved);
  lock_take(&s->lock, &inner);
  if (still_there(s, p, fd) && s->pending == p && atomic_load(&s->kind) == SOCK_PENDING) {
    enum cell_state before = cell_begin(p->cell);
    first = before == CELL_OPEN;
    if (first)
      cell_plain(p->cell);
    left = (first || before == CELL_PLAIN) && leave(s, p, SOCK_PLAIN);
    if (left) {
      p->plain = true;
      cell_drop(p->cell);
    }
  }
  lock_drop(&s->lock, &inner);
  lock_drop(&pending_gate, &saved);
  if (!left) {
    pending_fail(s, p, fd, ECONNABORTED);
    return;
  }
  epollreg_back(p, true);
  atomic_fetch_or(&fdtab_flags[fd], FDF_PLAIN);
  pending_unmanage(s, fd);
  if (first && why)
    plain_tell(fd, &p->rule, why, (const struct sockaddr *)&p->dest, p->dest_len, &p->hosts);
  pending_unpin(p);
  errno = keep;
}

int pending_take_error(struct sock *s, struct pending *p, int fd) {
  lock_signals saved;
  int kernels, keep = errno;
  socklen_t len = sizeof kernels;
  lock_take(&s->lock, &saved);
  int err = p->err_seen ? 0 : p->err;
  p->err_seen = true;
  if (!p->closed)
    libc_real()->getsockopt(fd, SOL_SOCKET, SO_ERROR, &kernels, &len);
  lock_drop(&s->lock, &saved);
  errno = keep;
  return err;
}

/* -- success -- */

/* The slot belongs to one connection: taken by the first process, joined by the others. 0 or a negative errno. */
static int take_slot(struct sock *s, struct pending *p, const struct wire_connected *a, struct arena_slot *slot) {
  struct pending_cell *c = p->cell;
  int lowat = atomic_load(&s->conn.lowat); /* from before, and kept */
  switch (cell_begin(c)) {
  case CELL_OPEN: {
    int rc = conn_take(&s->conn, slot, a->slot_use);
    if (rc != 0) {
      cell_failed(c, rc > -4096 ? -rc : ECONNABORTED);
      return rc;
    }
    c->arena_id = a->arena_id;
    c->slot = a->slot;
    c->slot_use = a->slot_use;
    cell_taken(c, &slot->holders);
    atomic_store(&s->conn.lowat, lowat);
    return 0;
  }
  case CELL_TAKEN:
    if (slot->use != a->slot_use || atomic_load(&slot->state) != ARENA_LIVE)
      return -ECONNRESET;
    conn_join(&s->conn, slot, a->slot_use);
    atomic_store(&s->conn.lowat, lowat);
    if (p->joined_late)
      conn_hold(&s->conn);
    return 0;
  default:
    return c->err ? -c->err : -ECONNABORTED;
  }
}

static void succeed(struct sock *s, struct pending *p, int fd, const struct wire_connected *a) {
  struct arena_slot *slot = session_slot(a->arena_id, a->slot);
  if (!slot) {
    int scarce = errno == ENOMEM || errno == EMFILE || errno == ENFILE ? errno : 0;
    pending_fail(s, p, fd, scarce ? scarce : ECONNREFUSED);
    session_complain_scarce("connect() is refused", scarce);
    return;
  }
  lock_signals saved, inner;
  int rc = 0;
  bool left = false;
  lock_take(&pending_gate, &saved);
  lock_take(&s->lock, &inner);
  if (s->pending == p && atomic_load(&s->kind) == SOCK_PENDING) {
    rc = take_slot(s, p, a, slot);
    if (rc == 0) {
      left = leave(s, p, SOCK_CONN);
      cell_drop(p->cell);
      conn_connect0(&s->conn, true);
    }
  }
  lock_drop(&s->lock, &inner);
  lock_drop(&pending_gate, &saved);
  if (rc != 0) {
    pending_fail(s, p, fd, -rc);
    session_complain_scarce("connect() is refused", -rc);
  }
  if (!left)
    return;
  epollreg_back(p, false);
  pending_unpin(p);
}

/* -- the answer -- */

/* The daemon is new, or needs the agent again: nothing was sent to the peer, so the request may be made once
 * more, by one thread of one process. 0: it was, or somebody else is at it; negative errno: it cannot be. */
static int repeat(struct sock *s, struct pending *p, int fd, int status) {
  lock_signals saved;
  lock_take(&s->lock, &saved);
  bool first_here = s->pending == p && !p->repeated;
  p->repeated = true;
  lock_drop(&s->lock, &saved);
  if (!first_here)
    return 0;
  bool mine = atomic_exchange(&p->cell->repeated, 1) == 0;
  pending_set_blind(p, true);
  epollreg_lost(p); /* until there is a new reply socket, or for good where another process has it */
  fdtab_unhide_close(&p->reply);
  atomic_store(&p->asked, 2);
  if (!mine)
    return 0;
  if (status == WIRE_UNKNOWN_SESSION && session_ready(true) != 0)
    return -errno;
  if (status != WIRE_BAD_REQUEST && session_agent(0, NULL, NULL) != 0)
    return -errno;
  return pending_ask(s, p, fd);
}

#define DECIDED_PLAIN (-1) /* not the daemon's word: another process of ours has looked at the rules again */

/* The daemon looked at the rules, and they were others than when we did: so do we. It has sent nothing. */
static void judge_again(struct sock *s, struct pending *p, int fd, int err, uint32_t asked) {
  struct rules_entry rule;
  int managed = session_match_connect((const struct sockaddr *)&p->dest, p->dest_len, &p->hosts, &rule);
  if (managed == 0) {
    pending_plain(s, p, fd, 0);
    return;
  }
  /* What a canary drew stays drawn. */
  uint32_t why = managed < 0 || (rule.mode == RULES_CANARY && !(rule.flags & RULES_SUSPENDED)) ? 0 : plain_why(&rule);
  if (managed > 0)
    p->rule = rule;
  if (why) {
    pending_plain(s, p, fd, why);
    return;
  }
  int rc = asked > 1 || managed < 0 ? -err : repeat(s, p, fd, WIRE_BAD_REQUEST);
  if (rc != 0)
    pending_fail(s, p, fd, -rc);
}

static void judge(struct sock *s, struct pending *p, int fd, const struct wire_connected *a, uint32_t asked) {
  int err = a->err > 0 && a->err < 4096 ? a->err : ECONNREFUSED, rc;
  switch (a->status) {
  case WIRE_OK:
    succeed(s, p, fd, a);
    return;
  case WIRE_TCP_FAILED:
    pending_native(s, p, fd);
    return;
  case WIRE_BAD_REQUEST:
    judge_again(s, p, fd, err, asked);
    return;
  case DECIDED_PLAIN:
    pending_plain(s, p, fd, 0);
    return;
  case WIRE_UNKNOWN_SESSION:
  case WIRE_NEED_AGENT:
  case WIRE_NO_IDENTITY:
    rc = asked > 1 ? -err : repeat(s, p, fd, a->status);
    if (rc != 0)
      pending_fail(s, p, fd, -rc);
    return;
  case WIRE_BUSY:
    session_complain("connect() is refused: %.*s", (int)sizeof a->text, a->text);
    pending_fail(s, p, fd, err);
    return;
  default:
    pending_fail(s, p, fd, err);
    return;
  }
}

/* 1: *a is the answer; 0: none yet; negative errno: there will be none. */
static int look(const struct pending *p, struct wire_connected *a) {
  enum cell_state state = cell_look(p->cell);
  if (state == CELL_PLAIN) {
    *a = (struct wire_connected){.status = DECIDED_PLAIN};
    return 1;
  }
  if (state == CELL_TAKEN || state == CELL_FAILED) {
    *a = (struct wire_connected){.status = state == CELL_TAKEN ? WIRE_OK : WIRE_REFUSED,
                                 .err = p->cell->err,
                                 .arena_id = p->cell->arena_id,
                                 .slot = p->cell->slot,
                                 .slot_use = p->cell->slot_use};
    return 1;
  }
  int reply = pending_reply(p);
  bool late = pending_now_ms() > p->deadline_ms;
  if (reply < 0)
    return late ? -ETIMEDOUT : 0;
  ssize_t n = libc_real()->recv(reply, a, sizeof *a, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC);
  if (reply != pending_reply(p))
    return 0; /* replaced by another thread this moment */
  /* EBADF, ENOTSOCK: fork() copies descriptors before memory, and another thread had just made the reply socket. It
   * is not here, and that says nothing about the parent's connect. */
  if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == EBADF || errno == ENOTSOCK))
    return late ? -ETIMEDOUT : 0;
  if (n == 0 || (n < 0 && errno == ECONNRESET))
    return -ECONNREFUSED; /* the daemon died; whether it had spoken to the peer, nobody knows: no second try */
  if (n < 0)
    return -ECONNREFUSED;
  bool good = n == (ssize_t)sizeof *a && a->hdr.magic == WIRE_MAGIC && a->hdr.version == WIRE_VERSION &&
              a->hdr.type == WIRE_CONNECTED && a->hdr.length == sizeof *a;
  return good ? 1 : -ECONNREFUSED;
}

enum sock_kind pending_settle(struct sock *s, int fd) {
  LOCK_NO_CANCEL;
  if (atomic_load(&s->kind) != SOCK_PENDING)
    return (enum sock_kind)atomic_load(&s->kind);
  struct pending *p = pending_pin(s);
  if (p) {
    struct wire_connected a;
    int keep = errno;
    uint32_t asked = atomic_load(&p->asked); /* before the look: an answer is never taken for a later one */
    int rc = look(p, &a);
    if (rc > 0)
      judge(s, p, fd, &a, asked);
    else if (rc < 0)
      pending_fail(s, p, fd, -rc);
    pending_unpin(p);
    errno = keep;
  }
  return (enum sock_kind)atomic_load(&s->kind);
}
