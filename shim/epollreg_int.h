/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epollreg_int.h - one registration of a number in an epoll set.
 */
#ifndef SHIM_EPOLLREG_INT_H
#define SHIM_EPOLLREG_INT_H

#include "lock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#define REG_MAX   32768u
#define REG_CONNS 16384u /* no more records than these for the sake of connections: the rest is for pending ones */
#define BUCKETS   1024u
#define EPFDS     64

enum reg_state {
  REG_FREE = 0,
  REG_KERNEL,   /* the number's file is in the set, as the program put it there */
  REG_PENDING,  /* the reply socket is in the set in its place (one record of a set holds it) */
  REG_DISARMED, /* as PENDING, but a one-shot that had fired: nothing is watched until the program arms it */
  REG_MUTED,    /* such a one-shot, back in the set: what it reports is swallowed */
};

struct pending;

struct reg {
  int epfd, fd;
  uint32_t events;
  uint8_t state;
  bool holds;        /* its tag is what the reply socket reports */
  bool indexed;      /* epollreg_data.c */
  bool away;         /* between epollreg_detach() and epollreg_rearm() */
  int reply;         /* the number under which it is in the set, while it holds */
  uint64_t data;     /* the program's */
  struct pending *p; /* PENDING, DISARMED */
  uint32_t next, pnext;
};

extern struct reg epollreg_regs[REG_MAX];
extern struct lock epollreg_lock;

/* epollreg_records.c. Links are an index + 1; 0 and NULL: none. A bucket has other numbers in it, too. */
static inline struct reg *reg_at(uint32_t link) { return link ? &epollreg_regs[link - 1] : NULL; }
struct reg *reg_first(int fd);
struct reg *reg_find(int epfd, int fd);
struct reg *reg_new(int epfd, int fd, const struct epoll_event *ev); /* NULL: the table is full */
void reg_say(struct reg *r, const struct epoll_event *ev);
void reg_link(struct reg *r, struct pending *p);
void reg_unlink(struct reg *r);
void reg_free(struct reg *r);
void reg_forget_epfd(int epfd); /* it is closed: its records go */
bool reg_room_for_conns(void);

/* What epoll_wait() will say of it: its events or data are new, or it is about to go. Under the lock. */
void epollreg_index(struct reg *r);
void epollreg_unindex(struct reg *r);
/* Where the mask of a level-triggered registration stands that a MOD changes the mask of and nothing else: no lock is
 * needed for it. NULL: it is not known as such. */
_Atomic uint32_t *epollreg_mask(int epfd, int fd, const struct epoll_event *ev);
/* What was put there since is the record's. Under the lock. */
void epollreg_remask(struct reg *r);

/* Has a one-shot registration fired? Read from /proc/self/fdinfo, the only place that tells. */
bool epollreg_disarmed(int epfd, int fd);

#endif
