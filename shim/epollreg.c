/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epollreg.c - what epollreg.h promises: epoll_ctl() on a number whose connect() is pending, and what becomes of its
 * registrations. The records themselves are kept in epollreg_records.c.
 *
 * Every change of a record and of the kernel's set behind it happens under one lock, so that a connect()
 * in another thread finds all registrations. A record belongs to a number, as in the kernel.
 */
#include "epollreg.h"

#include "epollreg_int.h"
#include "conn_pages.h"
#include "libc.h"
#include "shared.h"
#include "pending_int.h"

#include <errno.h>
#include <string.h>

_Atomic bool epollreg_any;
struct lock epollreg_lock;

void epollreg_fork_prepare(void) {
  lock_signals saved; /* the caller has signals blocked, and blocks them until epollreg_fork_done() */
  lock_take(&epollreg_lock, &saved);
}

void epollreg_fork_done(void) {
  lock_signals all = ~(lock_signals)0;
  lock_drop(&epollreg_lock, &all);
}

/* -- the reply socket in an epoll set -- */

static int kernel_ctl(int epfd, int op, int fd, uint32_t events, uint64_t data) {
  struct epoll_event ev = {.events = events, .data = {.u64 = data}};
  return libc_real()->epoll_ctl(epfd, op, fd, &ev);
}

/* Gives the reply socket to one armed record of this epoll set. orphan: the number under which it is in the
 * set already, its record gone or disarmed; else -1. 0, or -1 and errno. */
static int arrange(struct pending *p, int epfd, int orphan) {
  struct reg *armed = NULL;
  for (struct reg *r = reg_at(p->regs); r; r = reg_at(r->pnext)) {
    if (r->epfd != epfd)
      continue;
    if (r->holds)
      return 0;
    if (r->state == REG_PENDING)
      armed = r;
  }
  int reply = orphan >= 0 ? orphan : pending_reply(p), rc = 0;
  if (!armed)
    return orphan >= 0 ? kernel_ctl(epfd, EPOLL_CTL_DEL, orphan, 0, 0) : 0;
  if (reply < 0)
    return 0;
  rc = kernel_ctl(epfd, orphan >= 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, reply, EPOLLIN, (uint64_t)(uintptr_t)armed);
  if (rc != 0 && orphan < 0 && errno == EEXIST)
    rc = kernel_ctl(epfd, EPOLL_CTL_MOD, reply, EPOLLIN, (uint64_t)(uintptr_t)armed);
  if (rc == 0) {
    armed->holds = true;
    armed->reply = reply;
  }
  return rc;
}

/* r leaves the pending list (or is disarmed) while it holds the reply socket. */
static int let_go(struct reg *r) {
  int orphan = r->holds ? r->reply : -1;
  r->holds = false;
  return orphan;
}

static void arrange_all(struct pending *p) {
  for (struct reg *r = reg_at(p->regs); r; r = reg_at(r->pnext))
    arrange(p, r->epfd, -1);
}

void epollreg_reply(struct pending *p) {
  lock_signals saved;
  int keep = errno;
  lock_take(&epollreg_lock, &saved);
  arrange_all(p);
  lock_drop(&epollreg_lock, &saved);
  errno = keep;
}

void epollreg_lost(struct pending *p) {
  lock_signals saved;
  int keep = errno;
  lock_take(&epollreg_lock, &saved);
  for (struct reg *r = reg_at(p->regs); r; r = reg_at(r->pnext)) {
    if (r->holds)
      kernel_ctl(r->epfd, EPOLL_CTL_DEL, r->reply, 0, 0);
    r->holds = false;
  }
  lock_drop(&epollreg_lock, &saved);
  errno = keep;
}

/* -- out and back -- */

static void take_out(struct reg *r, struct pending *p) {
  bool disarmed = r->state == REG_MUTED || ((r->events & EPOLLONESHOT) && epollreg_disarmed(r->epfd, r->fd));
  if (kernel_ctl(r->epfd, EPOLL_CTL_DEL, r->fd, 0, 0) != 0) {
    reg_free(r); /* that epoll set is gone, or it was taken out behind our back */
    return;
  }
  r->state = disarmed ? REG_DISARMED : REG_PENDING;
  reg_link(r, p);
}

void epollreg_out(struct pending *p, int fd) {
  lock_signals saved;
  if (!(atomic_load_explicit(&fdtab_flags[fd], memory_order_relaxed) & FDF_EPREG))
    return;
  int keep = errno;
  lock_take(&epollreg_lock, &saved);
  for (struct reg *r = reg_first(fd), *next; r; r = next) {
    next = reg_at(r->next);
    if (r->fd == fd && (r->state == REG_KERNEL || r->state == REG_MUTED)) {
      epollreg_remask(r);
      take_out(r, p);
    }
  }
  arrange_all(p);
  lock_drop(&epollreg_lock, &saved);
  errno = keep;
}

/* The number's own file goes (back) into the set. A one-shot registration that had fired must not fire again
 * before the program arms it: the kernel always watches for errors, so what it says is swallowed as a tag. */
static void put_in(struct reg *r) {
  bool disarmed = r->state == REG_DISARMED || r->state == REG_MUTED;
  uint32_t events = disarmed ? EPOLLONESHOT | (r->events & EPOLLWAKEUP) : r->events;
  kernel_ctl(r->epfd, EPOLL_CTL_ADD, r->fd, events, disarmed ? (uint64_t)(uintptr_t)r : r->data);
  r->state = disarmed ? REG_MUTED : REG_KERNEL;
}

/* True for the one process that gets the reply socket out of this set. */
static bool wins(struct pending *p, int epfd) {
  for (struct reg *r = reg_at(p->regs); r; r = reg_at(r->pnext)) {
    if (r->epfd != epfd || !r->holds)
      continue;
    r->holds = false;
    /* A dup2() of the program may have moved our number: that registration cannot be named any more. */
    return kernel_ctl(epfd, EPOLL_CTL_DEL, r->reply, 0, 0) == 0 || r->reply != pending_reply(p);
  }
  return true;
}

void epollreg_back(struct pending *p, bool keep) {
  lock_signals saved;
  int keep_errno = errno;
  lock_take(&epollreg_lock, &saved);
  while (p->regs) {
    int epfd = reg_at(p->regs)->epfd;
    bool won = wins(p, epfd);
    for (struct reg *r = reg_at(p->regs), *next; r; r = next) {
      next = reg_at(r->pnext);
      if (r->epfd != epfd)
        continue;
      reg_unlink(r);
      if (won)
        put_in(r);
      r->state = r->state == REG_DISARMED || r->state == REG_MUTED ? REG_MUTED : REG_KERNEL;
      if (!keep && r->state == REG_KERNEL && (r->events & EPOLLET))
        reg_free(r); /* connected, and none that wait_pieces.c looks at */
    }
  }
  lock_drop(&epollreg_lock, &saved);
  errno = keep_errno;
}

void epollreg_gone(struct pending *p) {
  lock_signals saved;
  if (!p->regs)
    return;
  lock_take(&epollreg_lock, &saved);
  while (p->regs)
    reg_free(reg_at(p->regs)); /* the kernel drops the registration with the reply socket's last number */
  lock_drop(&epollreg_lock, &saved);
}

/* -- epoll_ctl() -- */

/* The checks that the kernel would make of the program's events. */
static int bad_events(int op, const struct reg *r, uint32_t events) {
  const uint32_t exclusive_ok = EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
  if (op == EPOLL_CTL_MOD && ((events & EPOLLEXCLUSIVE) || (r->events & EPOLLEXCLUSIVE)))
    return EINVAL;
  return (events & EPOLLEXCLUSIVE) && (events & ~exclusive_ok) ? EINVAL : 0;
}

static int fail(int err) {
  errno = err;
  return -1;
}

static int pending_add(struct pending *p, int epfd, int fd, const struct epoll_event *ev) {
  if (!ev)
    return fail(EFAULT);
  if (bad_events(EPOLL_CTL_ADD, NULL, ev->events))
    return fail(EINVAL);
  struct reg *r = reg_new(epfd, fd, ev);
  if (!r)
    return fail(ENOSPC);
  r->state = REG_PENDING;
  reg_link(r, p);
  if (arrange(p, epfd, -1) == 0)
    return 0;
  int failed = errno;
  reg_free(r);
  return fail(failed);
}

static int pending_ctl(struct reg *r, int op, const struct epoll_event *ev) {
  struct pending *p = r->p;
  if (op == EPOLL_CTL_ADD)
    return fail(ev ? EEXIST : EFAULT);
  if (op == EPOLL_CTL_DEL) {
    int orphan = let_go(r), epfd = r->epfd;
    reg_free(r);
    arrange(p, epfd, orphan);
    return 0;
  }
  if (op != EPOLL_CTL_MOD)
    return fail(EINVAL);
  if (!ev)
    return fail(EFAULT);
  if (bad_events(op, r, ev->events))
    return fail(EINVAL);
  reg_say(r, ev);
  r->state = REG_PENDING;
  return arrange(p, r->epfd, -1);
}

/* After the kernel did it: what the record says now. */
static void note(struct reg *r, int epfd, int op, int fd, const struct epoll_event *ev, bool wanted) {
  if (op == EPOLL_CTL_DEL && r)
    reg_free(r);
  if (op == EPOLL_CTL_DEL || !ev)
    return;
  if (r) {
    reg_say(r, ev);
    r->state = REG_KERNEL;
  } else if (wanted) {
    if (!fdtab_plain(fd))
      atomic_store(&epollreg_any, true);
    reg_new(epfd, fd, ev);
  }
}

/* A socket that may be connected yet, and a connection that epoll_wait() may call readable for a piece of a record
 * (wait_pieces.c): who asks for edges reads until there is nothing anyway. */
static bool remembered(struct sock *s, int op, int fd, const struct epoll_event *ev) {
  if (s && atomic_load(&s->kind) == SOCK_CONN)
    return op != EPOLL_CTL_DEL && ev && !(ev->events & EPOLLET) && reg_room_for_conns();
  return op == EPOLL_CTL_ADD && (fdtab_plain(fd) || shared_is(fd));
}

static int hook_locked(struct sock *s, struct pending *p, int epfd, int op, int fd, struct epoll_event *ev) {
  struct reg *r = reg_find(epfd, fd);
  if (r && r->p)
    return pending_ctl(r, op, ev);
  if (!r && p && op == EPOLL_CTL_ADD && atomic_load(&s->kind) == SOCK_PENDING)
    return pending_add(p, epfd, fd, ev);
  int rc = libc_real()->epoll_ctl(epfd, op, fd, ev);
  if (rc == 0)
    note(r, epfd, op, fd, ev, remembered(s, op, fd, ev));
  return rc;
}

/* A connection's registration of which nothing needs to be written down. Servers change masks all the time. */
static bool by_itself(uint8_t flags, int epfd, int op, int fd, struct epoll_event *ev, int *rc) {
  bool known = flags & FDF_EPREG;
  _Atomic uint32_t *mask = known && op == EPOLL_CTL_MOD ? epollreg_mask(epfd, fd, ev) : NULL;
  if (known ? !mask : !(ev->events & EPOLLET)) /* a DEL of what is not known has gone its way before */
    return false;
  uint32_t events = ev->events;
  *rc = libc_real()->epoll_ctl(epfd, op, fd, ev);
  if (*rc == 0 && mask)
    atomic_store(mask, events);
  return true;
}

int epollreg_hook(int epfd, int op, int fd, struct epoll_event *ev) {
  if ((unsigned)fd >= FDTAB_MAX)
    return libc_real()->epoll_ctl(epfd, op, fd, ev);
  bool plain = fdtab_plain(fd);
  uint8_t flags = atomic_load_explicit(&fdtab_flags[fd], memory_order_relaxed);
  if (plain && !(flags & FDF_TCP))
    return libc_real()->epoll_ctl(epfd, op, fd, ev);
  struct sock *s = plain ? NULL : fdtab_get(fd);
  if (!s && !plain && fdtab_is_hidden(fd))
    return fail(EBADF);
  enum sock_kind kind = s ? pending_settle(s, fd) : SOCK_UNUSED;
  int rc;
  if (s && kind != SOCK_PENDING && kind != SOCK_SHARED && !(flags & FDF_EPREG) &&
      (kind != SOCK_CONN || op == EPOLL_CTL_DEL)) {
    rc = libc_real()->epoll_ctl(epfd, op, fd, ev);
  } else if (op != EPOLL_CTL_DEL && pages_readable(ev, sizeof *ev) != sizeof *ev) {
    rc = fail(EFAULT); /* what the kernel looks at first of all */
  } else if (kind != SOCK_CONN || !by_itself(flags, epfd, op, fd, ev, &rc)) {
    lock_signals saved;
    struct pending *p = kind == SOCK_PENDING ? pending_pin(s) : NULL;
    lock_take(&epollreg_lock, &saved);
    rc = hook_locked(s, p, epfd, op, fd, ev);
    int failed = errno;
    lock_drop(&epollreg_lock, &saved);
    if (p)
      pending_unpin(p);
    errno = failed;
  }
  if (s)
    sock_put(s);
  return rc;
}

void epollreg_ctl(int epfd, int op, int fd, const struct epoll_event *ev) {
  lock_signals saved;
  if ((unsigned)fd >= FDTAB_MAX)
    return;
  lock_take(&epollreg_lock, &saved);
  note(reg_find(epfd, fd), epfd, op, fd, ev, op == EPOLL_CTL_ADD);
  lock_drop(&epollreg_lock, &saved);
}

/* -- closing, and the listener's dup3() -- */

static void forget_number(int fd) {
  for (struct reg *r = reg_first(fd), *next; r; r = next) {
    next = reg_at(r->next);
    if (r->fd != fd)
      continue;
    struct pending *p = r->p;
    int orphan = p ? let_go(r) : -1, epfd = r->epfd;
    reg_free(r);
    /* In the kernel a registration lives as long as any process has the file open: only the last one's close
     * takes it out. */
    if (p && orphan >= 0 && cell_processes(p->cell) <= 1)
      arrange(p, epfd, orphan);
  }
}

void epollreg_forget(int fd) {
  lock_signals saved;
  if ((unsigned)fd >= FDTAB_MAX)
    return;
  int keep = errno;
  lock_take(&epollreg_lock, &saved);
  forget_number(fd);
  reg_forget_epfd(fd);
  lock_drop(&epollreg_lock, &saved);
  errno = keep;
}

void epollreg_detach(int fd) {
  lock_signals saved;
  if ((unsigned)fd >= FDTAB_MAX || !(atomic_load(&fdtab_flags[fd]) & FDF_EPREG))
    return;
  int keep = errno;
  lock_take(&epollreg_lock, &saved);
  for (struct reg *r = reg_first(fd); r; r = reg_at(r->next)) {
    if (r->fd != fd || (r->state != REG_KERNEL && r->state != REG_MUTED))
      continue;
    r->away = true;
    if ((r->events & EPOLLONESHOT) && (r->state == REG_MUTED || epollreg_disarmed(r->epfd, fd)))
      r->state = REG_DISARMED;
    kernel_ctl(r->epfd, EPOLL_CTL_DEL, fd, 0, 0);
  }
  atomic_fetch_and(&fdtab_flags[fd], (uint8_t)~FDF_EPREG); /* the number is replaced, not closed */
  lock_drop(&epollreg_lock, &saved);
  errno = keep;
}

void epollreg_rearm(int fd) {
  lock_signals saved;
  if ((unsigned)fd >= FDTAB_MAX)
    return;
  int keep = errno;
  lock_take(&epollreg_lock, &saved);
  for (struct reg *r = reg_first(fd); r; r = reg_at(r->next)) {
    if (r->fd != fd || !r->away)
      continue;
    r->away = false;
    put_in(r);
    atomic_fetch_or(&fdtab_flags[fd], FDF_EPREG);
  }
  lock_drop(&epollreg_lock, &saved);
  errno = keep;
}

void epollreg_again(int epfd, int fd) {
  lock_signals saved;
  int keep = errno;
  lock_take(&epollreg_lock, &saved);
  const struct reg *r = reg_find(epfd, fd);
  if (r && r->state == REG_KERNEL && (r->events & EPOLLONESHOT))
    kernel_ctl(epfd, EPOLL_CTL_MOD, fd, r->events, r->data);
  lock_drop(&epollreg_lock, &saved);
  errno = keep;
}
