/* SPDX-License-Identifier: Apache-2.0 */
/*
 * post.h - the way back to the control thread: other threads hand over items, it runs them in order.
 *
 * Items are embedded in what they are about, so that posting cannot fail. An item is in the queue at
 * most once; who posts it sees to that.
 */
#ifndef DAEMON_POST_H
#define DAEMON_POST_H

#include <event2/event.h>
#include <stddef.h>

#define POST_OWNER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

struct post;

struct post_item {
  struct post_item *next;
  void (*fn)(struct post_item *item); /* on the control thread */
};

/* NULL: out of memory or descriptors. */
struct post *post_new(struct event_base *base);
/* Runs what is still queued, then frees. No other thread may post any more. */
void post_free(struct post *p);

/* From any thread. */
void post_send(struct post *p, struct post_item *item);

#endif
