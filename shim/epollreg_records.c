/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epollreg_records.c - the records of registrations: found by their number, tied to a pending connect().
 *
 * All of it under epollreg_lock. A record belongs to a number, as in the kernel. The table has a bound and allocates
 * nothing; where it is full a registration goes unrecorded.
 */
#include "epollreg_int.h"

#include "epollreg.h"
#include "fdtab.h"
#include "pending_int.h"

struct reg epollreg_regs[REG_MAX];

static uint32_t buckets[BUCKETS];     /* index + 1 of the first record of a number */
static uint32_t free_regs;            /* index + 1 */
static uint32_t used_regs, live_regs; /* records ever used, and in use */
static int watched_by[EPFDS];         /* epoll descriptors + 1 that occur in records */
static bool watched_by_more;

static uint32_t link_of(const struct reg *r) { return (uint32_t)(r - epollreg_regs) + 1; }
static uint32_t *bucket(int fd) { return &buckets[(unsigned)fd % BUCKETS]; }

struct reg *reg_first(int fd) {
  return reg_at(*bucket(fd));
}

bool reg_room_for_conns(void) { return live_regs < REG_CONNS; }

struct reg *reg_find(int epfd, int fd) {
  for (struct reg *r = reg_first(fd); r; r = reg_at(r->next)) {
    if (r->fd == fd && r->epfd == epfd)
      return r;
  }
  return NULL;
}

static void remember_epfd(int epfd) {
  for (int i = 0; i < EPFDS; i++) {
    if (watched_by[i] == epfd + 1)
      return;
  }
  for (int i = 0; i < EPFDS; i++) {
    if (watched_by[i] == 0) {
      watched_by[i] = epfd + 1;
      return;
    }
  }
  watched_by_more = true;
}

struct reg *reg_new(int epfd, int fd, const struct epoll_event *ev) {
  struct reg *r = reg_at(free_regs);
  if (r)
    free_regs = r->next;
  else if (used_regs < REG_MAX)
    r = &epollreg_regs[used_regs++];
  else
    return NULL; /* the program will see a readiness too early, and its write() will say EAGAIN */
  *r = (struct reg){
      .epfd = epfd, .fd = fd, .events = ev->events, .data = ev->data.u64, .state = REG_KERNEL, .reply = -1};
  r->next = *bucket(fd);
  *bucket(fd) = link_of(r);
  live_regs++;
  epollreg_index(r);
  atomic_fetch_or(&fdtab_flags[fd], FDF_EPREG);
  if ((unsigned)epfd < FDTAB_MAX)
    atomic_fetch_or(&fdtab_flags[epfd], FDF_EPREG);
  remember_epfd(epfd);
  return r;
}

void reg_say(struct reg *r, const struct epoll_event *ev) {
  r->events = ev->events;
  r->data = ev->data.u64;
  epollreg_index(r);
}

void reg_unlink(struct reg *r) {
  if (!r->p)
    return;
  uint32_t *l = &r->p->regs;
  while (*l && reg_at(*l) != r)
    l = &reg_at(*l)->pnext;
  if (*l)
    *l = r->pnext;
  r->p = NULL;
}

void reg_link(struct reg *r, struct pending *p) {
  atomic_store(&epollreg_any, true);
  r->p = p;
  r->pnext = p->regs;
  p->regs = link_of(r);
}

void reg_free(struct reg *r) {
  reg_unlink(r);
  epollreg_unindex(r);
  live_regs--;
  uint32_t *l = bucket(r->fd);
  bool more = false;
  for (struct reg *o = reg_at(*l); o; o = reg_at(o->next))
    more |= o != r && o->fd == r->fd;
  while (*l && reg_at(*l) != r)
    l = &reg_at(*l)->next;
  if (*l)
    *l = r->next;
  if (!more && (unsigned)r->fd < FDTAB_MAX)
    atomic_fetch_and(&fdtab_flags[r->fd], (uint8_t)~FDF_EPREG);
  r->state = REG_FREE;
  r->next = free_regs;
  free_regs = link_of(r);
}

void reg_forget_epfd(int epfd) {
  bool known = watched_by_more;
  for (int i = 0; i < EPFDS; i++) {
    if (watched_by[i] == epfd + 1) {
      watched_by[i] = 0;
      known = true;
    }
  }
  for (uint32_t i = 0; known && i < used_regs; i++) {
    if (epollreg_regs[i].state != REG_FREE && epollreg_regs[i].epfd == epfd)
      reg_free(&epollreg_regs[i]);
  }
}
