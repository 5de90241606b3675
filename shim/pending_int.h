/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pending_int.h - what the files of the pending module share among themselves.
 *
 * Locks, in this order: pending_gate (every change of a PENDING sock's kind, and fork), s->lock, then
 * epollreg's own. Waiting and talking to the daemon happen with none of them held.
 */
#ifndef SHIM_PENDING_INT_H
#define SHIM_PENDING_INT_H

#include "pending.h"
#include "session.h"

#include <stdatomic.h>
#include <stdint.h>

/* One for each pending connect, in memory that forked processes share: who took the answer, what it was,
 * and how many processes have a share in the connect. */
enum cell_state { CELL_FREE = 0, CELL_OPEN = 1, CELL_TAKING = 2, CELL_TAKEN = 3, CELL_FAILED = 4, CELL_PLAIN = 5 };

struct pending_cell {
  _Atomic uint32_t word; /* state << 24 | processes */
  _Atomic int32_t taker; /* pid, while TAKING */
  _Atomic uint32_t repeated;
  int32_t err;
  uint32_t slot, slot_use;
  uint64_t arena_id;
  uint32_t alone; /* a mapping of its own: the pool was full */
  uint32_t pad[5];
};

struct pending_cell *cell_new(void); /* OPEN, one process; NULL: out of memory */
enum cell_state cell_look(const struct pending_cell *c);
uint32_t cell_processes(const struct pending_cell *c);
/* One process more. Returns the state at that moment (waits out TAKING). */
enum cell_state cell_share(struct pending_cell *c);
/* This process's share is given back; returns the state at that moment (waits out TAKING). Then the cell may
 * become another connect's: whoever reads it looks under pending_gate whether the sock is PENDING still. */
enum cell_state cell_drop(struct pending_cell *c);
void cell_unmap(struct pending_cell *c); /* when no pointer to it is left in this process */
/* CELL_OPEN: the caller is the one to take the answer and ends with cell_taken(), cell_failed() or cell_plain();
 * CELL_TAKEN, CELL_FAILED, CELL_PLAIN: another process was faster (the answer is in the cell). */
enum cell_state cell_begin(struct pending_cell *c);
/* Publishes; *holders becomes the number of processes that have a share, all of which hold the connection. */
void cell_taken(struct pending_cell *c, _Atomic uint32_t *holders);
void cell_failed(struct pending_cell *c, int err);
void cell_plain(struct pending_cell *c);

struct pending {
  _Atomic uint32_t refs; /* one for the sock, one for each hook at work */
  int reply;             /* hidden; -1: none (not asked yet, or another process asks) */
  int carried;           /* the TCP socket's second number while it is being sent, else -1 */
  struct pending_cell *cell;
  uint64_t started_ms;
  uint64_t deadline_ms; /* nothing hangs for ever: long after the daemon's own deadline */
  int err;              /* of a FAILED connect, for SO_ERROR */
  bool err_seen;        /* it was reported */
  _Atomic bool closed;  /* the program's last number went away */
  _Atomic bool blind;   /* PENDING, and there is no reply socket: counted in pending_blind */
  bool plain;           /* it became one in plaintext: the numbers are the kernel's again */
  bool in_progress;     /* TCP's connect() was under way when the daemon was asked */
  bool repeated;
  _Atomic uint32_t asked; /* 2 once the daemon is asked a second time */
  bool shared;            /* pending_fork_prepare() has counted the child */
  bool taken_then;        /* and the answer had been taken by another process when it did */
  bool joined_late;       /* so this process is not among the slot's holders yet */
  bool lent;              /* given back by pending_exec() */
  uint32_t regs;          /* epollreg's list */
  struct rules_entry rule;
  struct rules_hosts hosts; /* by which the rule was found */
  struct sockaddr_storage dest;
  socklen_t dest_len;
  struct pending *next_free;
};

extern struct lock pending_gate;
extern _Atomic uint32_t pending_blind;
void pending_set_blind(struct pending *p, bool blind);

struct pending *pending_new(void);
void pending_pool_reset(void); /* in the child of fork() */
/* The sock's pending state, pinned; NULL when it has none (any more). */
struct pending *pending_pin(struct sock *s);
void pending_unpin(struct pending *p);
static inline int pending_reply(const struct pending *p) { return __atomic_load_n(&p->reply, __ATOMIC_ACQUIRE); }

uint64_t pending_now_ms(void);

/* The one real connect() of a managed socket. */
int pending_real_connect(int fd, const struct sockaddr *sa, socklen_t len);
/* connect(AF_UNSPEC): TCP forgets the peer. True when it did. */
bool pending_disconnect(int fd);

/* Asks the daemon (again): dials unless there is a reply socket, sends the TCP socket. 0 or a negative errno. */
int pending_ask(struct sock *s, struct pending *p, int fd);

/* The sock fails with err, to be reported once; the TCP socket looks like one whose connect failed. */
void pending_fail(struct sock *s, struct pending *p, int fd, int err);
/* TCP itself failed and the kernel knows why: the numbers become plain again. */
void pending_native(struct sock *s, struct pending *p, int fd);
/* The rules have changed since it began, and let this connection go out in plaintext now (why: enum wire_plain_why;
 * 0: it is not managed any more): the numbers become plain, the socket goes on as it is. Only when the daemon has
 * sent nothing over it, and never will. */
void pending_plain(struct sock *s, struct pending *p, int fd, uint32_t why);
/* Every number of s becomes plain. Only for a TCP socket that is not connected, or is to be one in plaintext. */
void pending_unmanage(struct sock *s, int fd);
/* The errno that waits to be reported, once; then 0. The kernel's own error (a reset, by our disconnecting) goes
 * with it, and POLLERR with that. */
int pending_take_error(struct sock *s, struct pending *p, int fd);
/* What a connect() that waited answers now that the sock is PENDING no more. */
int pending_result(struct sock *s, struct pending *p, int fd);

/* Waits until the answer is there. limit_ms < 0: for ever (the kernel restarts it after a handler with
 * SA_RESTART). 0: the kind changed; or -EINTR, -ETIMEDOUT (the limit), -EBADF (closed meanwhile). */
int pending_wait(struct sock *s, struct pending *p, int fd, int64_t limit_ms);
/* SO_SNDTIMEO or SO_RCVTIMEO in milliseconds, -1 if none. */
int64_t pending_socket_timeout(int fd, int option);

/* The one pin that the calling thread holds while it waits; fork() from a signal handler must not lose it. */
extern _Thread_local struct pending *pending_waiting;

#endif
