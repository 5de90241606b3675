/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epollreg_data.c - from what epoll_wait() says of a socket, the program's 64 bits, back to the socket's number.
 *
 * Also the tags, which stand for sockets whose connect() is pending. Written under the lock of the records, read
 * without one: a reader that met a writer looks again, and takes the lock in the end. Where two numbers of a set have
 * the same data nobody can tell which of them it is about.
 */
#include "epollreg_int.h"

#include "epollreg.h"

#define HEADS     4096u
#define LOOKS     4
#define STEPS_MAX 64 /* of a chain: further down nothing is found */

struct entry {
  _Atomic uint64_t data;
  _Atomic int epfd, fd;
  _Atomic uint32_t events;
  _Atomic uint32_t next; /* index + 1 */
};

static struct entry entries[REG_MAX]; /* beside epollreg_regs */
static _Atomic uint32_t heads[HEADS]; /* index + 1 */
static _Atomic uint32_t version;      /* odd: somebody writes */

#define PUT(to, value) atomic_store_explicit(&(to), value, memory_order_release)
#define GET(from)      atomic_load_explicit(&(from), memory_order_acquire)

static _Atomic uint32_t *head_of(int epfd, uint64_t data) {
  uint64_t h = (data ^ (uint64_t)(unsigned)epfd << 40) * 0x9e3779b97f4a7c15u;
  return &heads[h >> 52];
}

static void step_version(void) { atomic_fetch_add(&version, 1); }

void epollreg_unindex(struct reg *r) {
  struct entry *e = &entries[r - epollreg_regs];
  if (!r->indexed)
    return;
  r->indexed = false;
  step_version();
  _Atomic uint32_t *link = head_of(e->epfd, e->data);
  while (GET(*link) != 0 && &entries[GET(*link) - 1] != e)
    link = &entries[GET(*link) - 1].next;
  if (GET(*link) != 0)
    PUT(*link, GET(e->next));
  step_version();
}

void epollreg_index(struct reg *r) {
  struct entry *e = &entries[r - epollreg_regs];
  epollreg_unindex(r);
  r->indexed = true;
  _Atomic uint32_t *head = head_of(r->epfd, r->data);
  step_version();
  PUT(e->data, r->data);
  PUT(e->epfd, r->epfd);
  PUT(e->fd, r->fd);
  PUT(e->events, r->events);
  PUT(e->next, GET(*head));
  PUT(*head, (uint32_t)(r - epollreg_regs) + 1);
  step_version();
}

/* What a look through the chain finds, or NULL. */
static struct entry *look(int epfd, uint64_t data) {
  struct entry *found = NULL;
  uint32_t at = GET(*head_of(epfd, data));
  for (int steps = 0; at != 0 && steps < STEPS_MAX; steps++) {
    struct entry *e = &entries[at - 1];
    if (GET(e->epfd) == epfd && GET(e->data) == data) {
      if (found)
        return NULL;
      found = e;
    }
    at = GET(e->next);
  }
  return found;
}

static int number_of(const struct entry *e, uint32_t *events) {
  if (!e)
    return -1;
  *events = GET(e->events);
  return GET(e->fd);
}

int epollreg_number(int epfd, uint64_t data, uint32_t *events) {
  for (int i = 0; i < LOOKS; i++) {
    uint32_t before = GET(version);
    int fd = number_of(look(epfd, data), events);
    if ((before & 1u) == 0 && atomic_load(&version) == before)
      return fd;
  }
  lock_signals saved;
  lock_take(&epollreg_lock, &saved);
  int fd = number_of(look(epfd, data), events);
  lock_drop(&epollreg_lock, &saved);
  return fd;
}

_Atomic uint32_t *epollreg_mask(int epfd, int fd, const struct epoll_event *ev) {
  const uint32_t kind = EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE;
  uint32_t before = GET(version);
  struct entry *e = look(epfd, ev->data.u64);
  bool only = e && GET(e->fd) == fd && ((GET(e->events) | ev->events) & kind) == 0;
  return only && (before & 1u) == 0 && atomic_load(&version) == before ? &e->events : NULL;
}

void epollreg_remask(struct reg *r) {
  if (r->indexed)
    r->events = GET(entries[r - epollreg_regs].events);
}

/* -- tags -- */

bool epollreg_is_tag(uint64_t data) { return data - (uint64_t)(uintptr_t)epollreg_regs < sizeof epollreg_regs; }

bool epollreg_tag(uint64_t data, int *fd) {
  if (!epollreg_is_tag(data))
    return false;
  lock_signals saved;
  const struct reg *r = &epollreg_regs[(data - (uint64_t)(uintptr_t)epollreg_regs) / sizeof *r];
  lock_take(&epollreg_lock, &saved);
  *fd = r->p ? r->fd : -1;
  lock_drop(&epollreg_lock, &saved);
  return true;
}
