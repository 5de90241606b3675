/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parting.c - lingering closes. Reads and drops, never answers.
 */
#include "parting.h"
#include "clock.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#define PARTING_MAX   256
#define PARTING_MS    1000
#define PARTING_BYTES (256 * 1024) /* of a peer that goes on talking */

struct parted {
  TAILQ_ENTRY(parted) link;
  struct parting *all;
  struct event event;
  int fd;
  int64_t until;
  size_t dropped;
};

struct parting {
  struct event_base *base;
  TAILQ_HEAD(parted_list, parted) list;
  unsigned count;
};

static void parted_end(struct parted *d) {
  event_del(&d->event);
  close(d->fd);
  TAILQ_REMOVE(&d->all->list, d, link);
  d->all->count--;
  free(d);
}

static void parted_readable(evutil_socket_t fd, short what, void *arg) {
  struct parted *d = arg;
  char waste[4096];
  ssize_t n = what & EV_READ ? recv(fd, waste, sizeof waste, MSG_DONTWAIT) : 0;
  if (n > 0)
    d->dropped += (size_t)n;
  int64_t left = d->until - clock_ms();
  if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || d->dropped > PARTING_BYTES || left <= 0) {
    parted_end(d);
    return;
  }
  struct timeval tv = clock_timeval(left);
  event_add(&d->event, &tv);
}

struct parting *parting_new(struct event_base *base) {
  struct parting *p = calloc(1, sizeof *p);
  if (!p)
    return NULL;
  p->base = base;
  TAILQ_INIT(&p->list);
  return p;
}

void parting_free(struct parting *p) {
  if (!p)
    return;
  while (!TAILQ_EMPTY(&p->list))
    parted_end(TAILQ_FIRST(&p->list));
  free(p);
}

void parting_close(struct parting *p, int fd) {
  struct linger polite = {0, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &polite, sizeof polite);
  struct parted *d = p->count < PARTING_MAX && shutdown(fd, SHUT_WR) == 0 ? calloc(1, sizeof *d) : NULL;
  if (!d) {
    close(fd);
    return;
  }
  d->all = p;
  d->fd = fd;
  d->until = clock_ms() + PARTING_MS;
  struct timeval tv = clock_timeval(PARTING_MS);
  event_assign(&d->event, p->base, fd, EV_READ, parted_readable, d);
  TAILQ_INSERT_TAIL(&p->list, d, link);
  p->count++;
  event_add(&d->event, &tv);
}
