/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pending_end.c - a pending connect() meets close() and fork().
 *
 * Every process that has the socket has a share in the connect; the count is exact at every moment, so
 * that exactly the last close says close_notify. Nothing in here waits for the daemon.
 */
#include "pending_int.h"

#include "epollreg.h"
#include "libc.h"

#include <errno.h>

void pending_close_fd(struct sock *s, int fd) {
  LOCK_NO_CANCEL;
  lock_signals saved, inner;
  struct pending *p = pending_pin(s);
  if (p) {
    /* An answer that nobody looked at: closed as a connection is, and a share in the slot is given back. */
    if (fd >= 0 || cell_look(p->cell) == CELL_TAKEN)
      pending_settle(s, fd);
    pending_unpin(p);
  }
  lock_take(&pending_gate, &saved);
  lock_take(&s->lock, &inner);
  bool alone = false, connected = atomic_load(&s->kind) == SOCK_CONN;
  p = s->pending;
  if (p) {
    if (atomic_load(&s->kind) == SOCK_PENDING) {
      atomic_fetch_sub(&pending_count, 1);
      alone = cell_processes(p->cell) <= 1;
      cell_drop(p->cell);
    }
    p->closed = true;
    s->pending = NULL;
    atomic_store(&s->kind, SOCK_FAILED);
  }
  lock_drop(&s->lock, &inner);
  lock_drop(&pending_gate, &saved);
  if (connected)
    conn_close(&s->conn, fd);
  if (!p)
    return;
  epollreg_gone(p);
  int reply = pending_reply(p);
  if (alone && reply >= 0)
    libc_real()->shutdown(reply, SHUT_RDWR); /* wakes a thread that waits; another process's answer must live */
  if (pending_waiting == p)
    fdtab_unhide_close(&p->reply); /* a handler closes it, or left our wait by siglongjmp(): its pin stays for ever */
  pending_unpin(p);
}

void pending_close(struct sock *s) { pending_close_fd(s, -1); }

/* -- fork -- */

_Thread_local struct pending *pending_waiting;

static lock_signals fork_saved; /* under pending_gate */

static void share(struct sock *s, void *arg) {
  (void)arg;
  struct pending *p = s->pending;
  if (atomic_load(&s->kind) != SOCK_PENDING || !p)
    return;
  p->taken_then = cell_share(p->cell) == CELL_TAKEN;
  p->shared = true;
}

static void done_sharing(struct sock *s, void *failed) {
  struct pending *p = s->pending;
  if (!p || !p->shared)
    return;
  p->shared = false;
  if (failed)
    cell_drop(p->cell);
}

void pending_fork_prepare(void) {
  lock_signals saved;
  lock_take(&pending_gate, &saved);
  fork_saved = saved;
  epollreg_fork_prepare();
  if (atomic_load(&pending_count) != 0)
    sock_each(share, NULL);
}

void pending_fork_parent(bool failed) {
  lock_signals saved = fork_saved;
  if (atomic_load(&pending_count) != 0)
    sock_each(done_sharing, failed ? &failed : NULL);
  epollreg_fork_done();
  lock_drop(&pending_gate, &saved);
}

void pending_after_fork(struct sock *s) {
  struct pending *p = s->pending;
  if (!p)
    return;
  atomic_store(&p->refs, pending_waiting == p ? 2 : 1); /* the pins of threads that are not here */
  if (p->carried >= 0) {
    libc_real()->close(p->carried);
    p->carried = -1;
  }
  if (atomic_load(&s->kind) != SOCK_PENDING)
    return;
  if (!p->shared)
    p->taken_then = cell_share(p->cell) == CELL_TAKEN;
  p->joined_late = p->taken_then;
  p->shared = false;
}

static void child_one(struct sock *s, void *arg) {
  (void)arg;
  pending_after_fork(s);
}

void pending_fork_child(void) {
  lock_signals saved = fork_saved;
  epollreg_fork_done();
  pending_pool_reset();
  sock_each(child_one, NULL);
  lock_drop(&pending_gate, &saved);
}

static void exec_one(struct sock *s, void *failed) {
  struct pending *p = s->pending;
  if (!p || atomic_load(&s->kind) != SOCK_PENDING)
    return;
  if (failed && p->lent)
    cell_share(p->cell);
  p->lent = !failed && cell_processes(p->cell) > 1; /* alone: the reply socket closes with this image */
  if (p->lent)
    cell_drop(p->cell);
}

void pending_exec(bool failed) {
  lock_signals saved;
  if (atomic_load(&pending_count) == 0)
    return;
  lock_take(&pending_gate, &saved);
  sock_each(exec_one, failed ? &failed : NULL);
  lock_drop(&pending_gate, &saved);
}
