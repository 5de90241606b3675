/* SPDX-License-Identifier: Apache-2.0 */
/*
 * post.c - a locked queue and an eventfd. Never allocates after post_new(), never blocks the poster for
 * longer than a pointer swap.
 */
#include "post.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct post {
  pthread_mutex_t lock;
  struct post_item *head, **tail;
  int fd;
  struct event *event;
};

static void post_run(struct post *p) {
  pthread_mutex_lock(&p->lock);
  struct post_item *list = p->head;
  p->head = NULL;
  p->tail = &p->head;
  pthread_mutex_unlock(&p->lock);
  while (list) {
    struct post_item *item = list;
    list = item->next; /* before fn: it may free the item, or post it again */
    item->fn(item);
  }
}

static void post_readable(evutil_socket_t fd, short what, void *arg) {
  (void)what;
  uint64_t n;
  /* Emptied before the queue is taken: whoever posts from now on wakes us again. */
  if (read(fd, &n, sizeof n) < 0) {
  }
  post_run(arg);
}

struct post *post_new(struct event_base *base) {
  struct post *p = calloc(1, sizeof *p);
  if (!p)
    return NULL;
  pthread_mutex_init(&p->lock, NULL);
  p->tail = &p->head;
  p->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (p->fd >= 0)
    p->event = event_new(base, p->fd, EV_READ | EV_PERSIST, post_readable, p);
  if (!p->event || event_add(p->event, NULL) != 0) {
    post_free(p);
    return NULL;
  }
  return p;
}

void post_free(struct post *p) {
  if (!p)
    return;
  while (p->head)
    post_run(p);
  if (p->event)
    event_free(p->event);
  if (p->fd >= 0)
    close(p->fd);
  pthread_mutex_destroy(&p->lock);
  free(p);
}

void post_send(struct post *p, struct post_item *item) {
  item->next = NULL;
  pthread_mutex_lock(&p->lock);
  int wake = p->head == NULL;
  *p->tail = item;
  p->tail = &item->next;
  pthread_mutex_unlock(&p->lock);
  uint64_t one = 1;
  if (wake && write(p->fd, &one, sizeof one) < 0) {
    /* EAGAIN: the counter is full, so it is readable anyway */
  }
}
