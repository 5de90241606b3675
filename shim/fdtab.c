/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fdtab.c - the table of descriptor numbers, the pool of socks, and the hidden descriptors.
 *
 * It never calls malloc(): socks come from mapped chunks and go back to a free list, so a pointer to a
 * sock is always a pointer to a sock, and a pin can be taken without a lock.
 */
#include "fdtab.h"

#include "divided.h"
#include "libc.h"
#include "listener.h"
#include "pending.h"
#include "plain.h"
#include "shared.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

_Atomic uint8_t fdtab_flags[FDTAB_MAX];
_Atomic(uintptr_t) fdtab_entry[FDTAB_MAX];

#define CHUNK_BYTES 65536u

struct chunk {
  struct chunk *next;
  size_t count;
  struct sock sock[];
};

static struct lock pool_lock;
static struct chunk *_Atomic chunks;
static struct sock *free_socks;
static _Atomic int top;          /* one more than the highest number ever managed */
static _Atomic int marked;       /* one more than the highest number ever marked */
static _Atomic uint32_t managed; /* numbers with a sock behind them */
static _Atomic uint32_t leavers; /* numbers between fdtab_leave() and fdtab_gone() */
static int nothing = -1;         /* hidden: a socket that leads nowhere */

/* The entry of a number that is being closed: like a hidden one, it does not exist for the program. Were it plain, a
 * write() of another thread would still find the TCP socket behind it, and no keys. */
static int leaving = -1;
#define LEAVING ((uintptr_t)&leaving | 1u)

bool fdtab_marked(void) { return fdtab_any() || atomic_load_explicit(&marked, memory_order_relaxed) != 0; }
bool fdtab_untouched(void) { return !fdtab_marked() && atomic_load_explicit(&top, memory_order_relaxed) == 0; }
bool fdtab_any(void) { return atomic_load_explicit(&managed, memory_order_relaxed) != 0; }

static bool entry_is_sock(uintptr_t e) { return e != 0 && (e & 1u) == 0; }

static void raise_to(_Atomic int *to, int fd) {
  int seen = atomic_load_explicit(to, memory_order_relaxed);
  while (seen <= fd && !atomic_compare_exchange_weak(to, &seen, fd + 1)) {
  }
}

void fdtab_mark(int fd, uint8_t flags) {
  if ((unsigned)fd >= FDTAB_MAX)
    return;
  raise_to(&marked, fd);
  atomic_store_explicit(&fdtab_flags[fd], flags, memory_order_relaxed);
}

/* -- socks -- */

static int pool_grow(void) {
  void *mem = mmap(NULL, CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mem == MAP_FAILED)
    return -1;
  struct chunk *c = mem;
  c->count = (CHUNK_BYTES - sizeof *c) / sizeof c->sock[0];
  for (size_t i = 0; i < c->count; i++) {
    c->sock[i].next_free = free_socks;
    free_socks = &c->sock[i];
  }
  c->next = atomic_load(&chunks);
  atomic_store(&chunks, c);
  return 0;
}

struct sock *sock_new(enum sock_kind kind) {
  lock_signals saved;
  if (kind != SOCK_SHARED && divided()) /* a forked child is not divided, and may connect what it shares */
    return NULL;
  lock_take(&pool_lock, &saved);
  struct sock *s = NULL;
  if (free_socks || pool_grow() == 0) {
    s = free_socks;
    free_socks = s->next_free;
    s->next_free = NULL;
    s->listener = NULL;
    s->pending = NULL;
    memset(&s->conn, 0, sizeof s->conn);
    lock_reset(&s->lock);
    atomic_store(&s->fds, 0);
    atomic_store(&s->kind, (uint32_t)kind);
    atomic_store(&s->refs, 1);
  }
  lock_drop(&pool_lock, &saved);
  return s;
}

void sock_put(struct sock *s) {
  if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
    return;
  conn_free(&s->conn);
  lock_signals saved;
  lock_take(&pool_lock, &saved);
  atomic_store(&s->kind, SOCK_UNUSED);
  s->next_free = free_socks;
  free_socks = s;
  lock_drop(&pool_lock, &saved);
}

void sock_each(void (*fn)(struct sock *s, void *arg), void *arg) {
  for (struct chunk *c = atomic_load(&chunks); c; c = c->next) {
    for (size_t i = 0; i < c->count; i++) {
      if (atomic_load(&c->sock[i].fds) != 0)
        fn(&c->sock[i], arg);
    }
  }
}

/* -- numbers -- */

struct sock *fdtab_get(int fd) {
  if ((unsigned)fd >= FDTAB_MAX)
    return NULL;
  for (;;) {
    uintptr_t e = atomic_load_explicit(&fdtab_entry[fd], memory_order_acquire);
    if (!entry_is_sock(e))
      return NULL;
    struct sock *s = (struct sock *)e;
    uint32_t refs = atomic_load(&s->refs);
    while (refs != 0 && !atomic_compare_exchange_weak(&s->refs, &refs, refs + 1)) {
    }
    if (refs == 0)
      continue; /* on its way to the free list: the entry is changing */
    if (atomic_load(&fdtab_entry[fd]) == e)
      return s;
    sock_put(s);
  }
}

/* SO_LINGER with no time: the program wants a reset, and a reset has no last words. */
static bool resets(int fd) {
  struct linger linger;
  socklen_t len = sizeof linger;
  return fd >= 0 && libc_real()->getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len) == 0 && linger.l_onoff &&
         linger.l_linger == 0;
}

static void last_close(struct sock *s, int fd) {
  switch (atomic_load(&s->kind)) {
  case SOCK_CONN:
    conn_close(&s->conn, resets(fd) ? -1 : fd);
    break;
  case SOCK_PENDING:
  case SOCK_FAILED:
    pending_close_fd(s, fd);
    break;
  default:
    break;
  }
}

/* A number's entry gets a new value, and a sock that was behind it loses this number: under the pool's lock, which
 * fork() holds, so that a child has either the connection or none of it, never a hold that nobody gives up. */
static uintptr_t change(int fd, uintptr_t next, bool *last) {
  uintptr_t e = atomic_exchange(&fdtab_entry[fd], next);
  *last = entry_is_sock(e) && atomic_fetch_sub(&((struct sock *)e)->fds, 1) == 1;
  return e;
}

/* What the number's entry e stood for is over; io_fd is what close work may still use, -1 when the number is gone. */
static void over(int fd, int io_fd, uintptr_t e, bool last) {
  uint8_t flags = atomic_exchange(&fdtab_flags[fd], 0);
  if (flags & FDF_EPREG)
    epollreg_forget(fd);
  if (e & 1u)
    *(int *)(e & ~(uintptr_t)1) = -1;
  if (!entry_is_sock(e))
    return;
  struct sock *s = (struct sock *)e;
  atomic_fetch_sub(&managed, 1);
  if (last)
    last_close(s, io_fd);
  else if (atomic_load(&s->kind) == SOCK_CONN)
    conn_number_left(&s->conn, io_fd);
  sock_put(s);
}

static void forget(int fd, int io_fd) {
  lock_signals saved;
  bool last;
  lock_take(&pool_lock, &saved);
  uintptr_t e = change(fd, 0, &last);
  lock_drop(&pool_lock, &saved);
  over(fd, io_fd, e, last);
}

/* What takes a closed connection's place for a moment (fdtab_gone()). Made while there is room for it. */
static void have_nothing(void) {
  static _Atomic uint32_t made;
  if (atomic_load_explicit(&made, memory_order_relaxed) || atomic_exchange(&made, 1))
    return;
  int keep = errno;
  nothing = libc_real()->socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (nothing >= 0)
    fdtab_fresh(nothing);
  if (nothing >= 0 && fdtab_hide(&nothing) != 0) {
    libc_real()->close(nothing);
    nothing = -1;
  }
  errno = keep;
}

int fdtab_set(int fd, struct sock *s) {
  if ((unsigned)fd >= FDTAB_MAX)
    return -EMFILE;
  have_nothing();
  lock_signals saved;
  bool last;
  raise_to(&top, fd);
  lock_take(&pool_lock, &saved);
  atomic_fetch_add(&s->refs, 1);
  atomic_fetch_add(&s->fds, 1);
  atomic_fetch_add(&managed, 1);
  uintptr_t e = change(fd, (uintptr_t)s, &last); /* never plain in between */
  lock_drop(&pool_lock, &saved);
  over(fd, -1, e, last);
  return 0;
}

void fdtab_close(int fd) {
  if ((unsigned)fd < FDTAB_MAX && !fdtab_is_hidden(fd))
    forget(fd, fd);
}

bool fdtab_leave(int fd, bool plain_too) {
  if ((unsigned)fd >= FDTAB_MAX)
    return false;
  lock_signals saved;
  bool last = false, leaves;
  raise_to(&top, fd);
  lock_take(&pool_lock, &saved);
  uintptr_t e = atomic_load(&fdtab_entry[fd]);
  leaves = entry_is_sock(e) || (e == 0 && plain_too); /* else hidden, or another thread closes it as well */
  if (leaves) {
    change(fd, LEAVING, &last);
    atomic_fetch_add(&leavers, 1);
  }
  lock_drop(&pool_lock, &saved);
  if (leaves || e == 0)
    over(fd, fd, e, last);
  return leaves;
}

static void left(int fd) {
  uintptr_t expected = LEAVING;
  atomic_compare_exchange_strong(&fdtab_entry[fd], &expected, 0);
  atomic_fetch_sub(&leavers, 1);
}

int fdtab_nothing(void) {
  have_nothing();
  return nothing;
}

bool fdtab_cover(int fd) { return fdtab_nothing() >= 0 && libc_real()->dup3(nothing, fd, O_CLOEXEC) >= 0; }

int fdtab_gone(int fd) {
  /* Never the number's end first: the next open() of another thread would find it hidden. So something harmless is
   * put over the connection, which ends it; then the number may be plain, and goes. */
  bool covered = fdtab_cover(fd);
  if (covered)
    left(fd);
  int rc = (int)libc_real()->syscall(SYS_close, fd); /* no cancellation point */
  if (!covered)
    left(fd);
  return rc;
}

void fdtab_stays(int fd) { left(fd); }

void fdtab_forget(int fd) {
  int keep = errno;
  forget(fd, -1);
  errno = keep;
}

void fdtab_dup(int oldfd, int newfd) {
  if ((unsigned)oldfd >= FDTAB_MAX || (unsigned)newfd >= FDTAB_MAX || oldfd == newfd)
    return;
  struct sock *s = fdtab_get(oldfd);
  if (s) {
    fdtab_set(newfd, s);
    sock_put(s);
  } else {
    fdtab_fresh(newfd);
  }
  uint8_t flags = atomic_load(&fdtab_flags[oldfd]);
  if (!(flags & (FDF_TCP | FDF_EPOLL | FDF_STANDIN)))
    return;
  /* A later connect() is one of both numbers. */
  uint8_t alias = (!s || shared_is(oldfd)) && (flags & FDF_TCP) ? FDF_ALIAS : 0;
  atomic_fetch_or(&fdtab_flags[oldfd], alias);
  fdtab_mark(newfd, (uint8_t)((flags & (FDF_TCP | FDF_EPOLL | FDF_STANDIN | FDF_PLAIN)) | alias));
}

void fdtab_each(void (*fn)(int fd, struct sock *s, void *arg), void *arg) {
  int end = atomic_load(&top);
  for (int fd = 0; fd < end; fd++) {
    if (!entry_is_sock(atomic_load_explicit(&fdtab_entry[fd], memory_order_relaxed)))
      continue;
    struct sock *s = fdtab_get(fd);
    if (s) {
      fn(fd, s, arg);
      sock_put(s);
    }
  }
}

/* -- hidden descriptors -- */

/* Near 1000, or at three quarters of a small limit: never near a huge one, for fork() copies the table. */
static int hidden_base(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > 1334)
    return 1000;
  return (int)(limit.rlim_cur / 4 * 3);
}

static int dup_high(int fd) {
  for (int base = hidden_base(); base >= 3; base /= 2) {
    int high = libc_real()->fcntl(fd, F_DUPFD_CLOEXEC, base);
    if (high >= 0 || (errno != EINVAL && errno != EMFILE))
      return high;
  }
  errno = EMFILE;
  return -1;
}

static void own_hidden(int fd, int *owner) {
  fdtab_fresh(fd);
  raise_to(&top, fd);
  atomic_store_explicit(&fdtab_entry[fd], (uintptr_t)owner | 1u, memory_order_release);
}

int fdtab_hide(int *fd) { return fdtab_hide_as(*fd, fd); }

int fdtab_hide_as(int low, int *owner) {
  int keep = errno;
  int high = dup_high(low);
  if (high < 0 && low >= 3)
    high = low; /* no room higher up: stay where it is, hidden all the same */
  errno = keep;
  if (high < 0)
    return -EMFILE;
  if (high >= FDTAB_MAX) {
    libc_real()->close(high);
    errno = keep;
    return -EMFILE;
  }
  __atomic_store_n(owner, high, __ATOMIC_RELEASE);
  own_hidden(high, owner);
  if (high != low) {
    libc_real()->close(low);
    errno = keep;
  }
  return 0;
}

void fdtab_unhide_close(int *fd) {
  int n = *fd;
  if (n < 0)
    return;
  int keep = errno;
  if (n < FDTAB_MAX)
    atomic_store(&fdtab_entry[n], 0);
  __atomic_store_n(fd, -1, __ATOMIC_RELEASE);
  libc_real()->close(n);
  errno = keep;
}

int fdtab_next_hidden(int fd) {
  int end = atomic_load(&top);
  for (; fd < end; fd++) {
    if (fdtab_is_hidden(fd))
      return fd;
  }
  return -1;
}

int fdtab_next_known(int fd) {
  int end = atomic_load(&top);
  for (; fd < end; fd++) {
    if (entry_is_sock(atomic_load_explicit(&fdtab_entry[fd], memory_order_relaxed)))
      return fd;
  }
  return -1;
}

int fdtab_next_flagged(int fd, uint8_t flags) {
  int end = atomic_load(&marked);
  for (; fd < end; fd++) {
    if (atomic_load_explicit(&fdtab_flags[fd], memory_order_relaxed) & flags)
      return fd;
  }
  return -1;
}

int fdtab_make_room(int fd) {
  uintptr_t e = atomic_load(&fdtab_entry[fd]);
  if (!(e & 1u) || e == LEAVING)
    return 0;
  int *owner = (int *)(e & ~(uintptr_t)1);
  int high = dup_high(fd);
  if (high < 0 || high >= FDTAB_MAX) {
    if (high >= 0)
      libc_real()->close(high);
    return -EMFILE;
  }
  __atomic_store_n(owner, high, __ATOMIC_RELEASE);
  own_hidden(high, owner);
  atomic_store(&fdtab_entry[fd], 0);
  return 1;
}

/* -- fork -- */

static void hold_one(struct sock *s, void *arg) {
  (void)arg;
  if (atomic_load(&s->kind) == SOCK_CONN)
    conn_hold(&s->conn);
}

static void unhold_one(struct sock *s, void *arg) {
  (void)arg;
  if (atomic_load(&s->kind) == SOCK_CONN)
    conn_unhold(&s->conn);
}

static void child_one(struct sock *s, void *arg) {
  (void)arg;
  /* The pins of other threads are gone; those of this thread's own interrupted hooks (fork() in a signal handler) are
   * not, and cannot be told apart: one more reference keeps the sock out of the free list in any case. */
  atomic_store(&s->refs, atomic_load(&s->fds) + 1);
  lock_reset(&s->lock);
  switch (atomic_load(&s->kind)) {
  case SOCK_CONN:
    conn_after_fork(&s->conn);
    break;
  default:
    break; /* pending connects: pending_fork_child() */
  }
}

void fdtab_before_fork(lock_signals *saved) {
  lock_take(&pool_lock, saved);
  if (fdtab_any())
    sock_each(hold_one, NULL);
}

void fdtab_after_fork_parent(const lock_signals *saved) { lock_drop(&pool_lock, saved); }

void fdtab_after_fork_failed(const lock_signals *saved) {
  if (fdtab_any())
    sock_each(unhold_one, NULL);
  lock_drop(&pool_lock, saved);
}

void fdtab_after_fork_child(const lock_signals *saved) {
  lock_reset(&pool_lock);
  if (fdtab_any())
    sock_each(child_one, NULL);
  /* What another thread of the parent was closing is closed here as well: nobody else will. */
  int end = atomic_exchange(&leavers, 0) ? atomic_load(&top) : 0;
  for (int fd = 0; fd < end; fd++) {
    if (atomic_load(&fdtab_entry[fd]) != LEAVING)
      continue;
    libc_real()->close(fd);
    atomic_store(&fdtab_entry[fd], 0);
  }
  lock_signals_restore(saved);
}
