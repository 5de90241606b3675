/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fdtab.h - which descriptor numbers are ours, and what is behind them.
 *
 * A flat table indexed by descriptor number (in .bss, touched lazily). An unmanaged number costs one
 * load. A managed number leads to a struct sock: one open file description as this process sees it,
 * shared by all its dup()s. Socks are type-stable (their memory is only reused for socks), so that a
 * lookup can pin one without a lock.
 */
#ifndef SHIM_FDTAB_H
#define SHIM_FDTAB_H

#include "conn.h"
#include "lock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define FDTAB_MAX (1 << 20) /* the kernel's default fs.nr_open; numbers beyond are never managed */

enum sock_kind {
  SOCK_UNUSED = 0,
  SOCK_LISTENER = 1, /* the stand-in of a managed listener: listener.h */
  SOCK_PENDING = 2,  /* a managed connect() in progress: pending.h */
  SOCK_CONN = 3,     /* an authenticated connection: conn.h */
  SOCK_FAILED = 4,   /* a managed connect() that failed; nothing but close() and a new connect() works */
  SOCK_PLAIN = 5,    /* a managed connect() that the rules, changed since, let out in plaintext: the kernel's; its
                        numbers are about to leave the table */
  SOCK_SHARED = 6,   /* a TCP socket that another process may connect, and not connected when it was last looked at */
};

struct listener;
struct pending;

struct sock {
  _Atomic uint32_t refs; /* one for each number in the table, one for each hook at work (pin) */
  _Atomic uint32_t fds;  /* numbers in the table; 0 after the last close() */
  _Atomic uint32_t kind; /* enum sock_kind; PENDING becomes CONN or FAILED in place */
  struct lock lock;      /* guards changes of kind and what hangs on it */
  struct listener *listener;
  struct pending *pending;
  struct conn conn;
  struct sock *next_free;
};

/* Per-number flags, beside the table; they cost nothing to keep and are cleared when a number is reused. */
enum {
  FDF_TCP = 1,      /* socket() made it: AF_INET/AF_INET6, SOCK_STREAM */
  FDF_EPOLL = 2,    /* epoll_create made it */
  FDF_EPREG = 4,    /* it was added to an epoll set while FDF_TCP (epollreg knows where) */
  FDF_SETTLED = 16, /* FDF_TCP, and connected to where no rule is, or listening there */
  FDF_STANDIN = 64, /* a stand-in that came from elsewhere, and that nobody here has used yet: listener_unused() */
  FDF_EXEC = 8,     /* close-on-exec is ours, not the program's: taken back when exec fails */
};
extern _Atomic uint8_t fdtab_flags[FDTAB_MAX];
/* A fresh number is marked: FDF_TCP or FDF_EPOLL. */
void fdtab_mark(int fd, uint8_t flags);

/* Entry values: NULL, a struct sock, or (with bit 0 set) the address of the int that holds one of the
 * shim's own hidden descriptors. */
extern _Atomic(uintptr_t) fdtab_entry[FDTAB_MAX];

/* True when fd is neither managed nor hidden: the hook leaves at once. */
static inline bool fdtab_plain(int fd) {
  return (unsigned)fd >= FDTAB_MAX || atomic_load_explicit(&fdtab_entry[fd], memory_order_relaxed) == 0;
}

/* True when nothing at all is known about fd, marks included: it was never ours, and is nobody's socket. */
static inline bool fdtab_unknown(int fd) {
  return fdtab_plain(fd) &&
         ((unsigned)fd >= FDTAB_MAX || atomic_load_explicit(&fdtab_flags[fd], memory_order_relaxed) == 0);
}

/* Pins what fd stands for; NULL when it is unmanaged or hidden. Give it back with sock_put(). */
struct sock *fdtab_get(int fd);
void sock_put(struct sock *s);

/* A fresh sock with one pin and no number. NULL: out of memory, or nothing may be protected (divided.h). */
struct sock *sock_new(enum sock_kind kind);
/* Puts s behind number fd (adds a reference); replaces a stale entry. */
int fdtab_set(int fd, struct sock *s);
/* Takes number fd out of the table. Runs the last-close work (close_notify, telling the daemon) when it
 * was the last number. Call before the real close(). */
void fdtab_close(int fd);
/* The same for close() and dup2(), in two steps, so that the number never leads past us to a socket that is connected
 * still. fdtab_leave() does the close work and leaves a number that answers EBADF to every hook (plain_too: one
 * without a sock as well). True: then one of the others must follow. fdtab_gone() makes the real close();
 * fdtab_stays(): a dup2() has put another file there, or the number was plain. */
bool fdtab_leave(int fd, bool plain_too);
int fdtab_gone(int fd);
void fdtab_stays(int fd);
/* A socket that leads nowhere, hidden; -1: there is none. */
int fdtab_nothing(void);
/* Puts it over a number, so that what the C library writes there by itself goes nowhere. */
bool fdtab_cover(int fd);
/* Forgets whatever a number stood for, without close work: the number was closed behind our back. Every
 * hook that gets a fresh number from the kernel calls it. Cheap when there is nothing to forget. */
void fdtab_forget(int fd);
static inline void fdtab_fresh(int fd) {
  if (!fdtab_unknown(fd))
    fdtab_forget(fd);
}
/* The same for the two numbers of a call that answered rc: 0, they are there. Returns rc. */
static inline int fdtab_fresh_pair(int rc, const int fds[2]) {
  for (int i = 0; rc == 0 && i < 2; i++)
    fdtab_fresh(fds[i]);
  return rc;
}
/* newfd now stands for the same as oldfd (dup family, after the real call). */
void fdtab_dup(int oldfd, int newfd);

/* Calls fn for every number and sock in use (exit, exec). */
void fdtab_each(void (*fn)(int fd, struct sock *s, void *arg), void *arg);
/* Calls fn once for every sock that has a number. */
void sock_each(void (*fn)(struct sock *s, void *arg), void *arg);
/* Any managed descriptor at all? Lets fork, exec and exit leave at once. */
bool fdtab_any(void);
/* The same, or any that may become one: a TCP socket was made. */
bool fdtab_marked(void);
/* Was nothing ever managed, marked or hidden? */
bool fdtab_untouched(void);

/* Hidden descriptors. fdtab_hide() moves *fd to a high number (close-on-exec) and remembers where it is
 * kept, so that a dup2() of the program onto that number can move it away; fdtab_unhide_close() closes
 * it and sets *fd to -1. 0 or a negative errno. */
int fdtab_hide(int *fd);
/* The same for a number that other threads may read in *owner at any time: they see the high one only. */
int fdtab_hide_as(int low, int *owner);
void fdtab_unhide_close(int *fd);
static inline bool fdtab_is_hidden(int fd) {
  return (unsigned)fd < FDTAB_MAX && (atomic_load_explicit(&fdtab_entry[fd], memory_order_relaxed) & 1u);
}
/* The lowest hidden number >= fd, or -1. */
int fdtab_next_hidden(int fd);
/* The lowest number >= fd with a sock, or -1. */
int fdtab_next_known(int fd);
/* The lowest number >= fd that was marked with one of these FDF_ flags, or -1. */
int fdtab_next_flagged(int fd, uint8_t flags);
/* The program is about to use this number (dup2, dup3, close_range): moves ours away. */
int fdtab_make_room(int fd);

/* Around fork(): the pool is held still; the child forgets the pins of threads that it does not have. */
void fdtab_before_fork(lock_signals *saved);
void fdtab_after_fork_parent(const lock_signals *saved);
void fdtab_after_fork_failed(const lock_signals *saved);
void fdtab_after_fork_child(const lock_signals *saved);

#endif
