/* SPDX-License-Identifier: Apache-2.0 */
/*
 * errand.h - something that may take its time (a file system, /proc of a big machine), done on a thread of its own,
 * its end told on the control thread. Embedded in what it is about.
 */
#ifndef DAEMON_ERRAND_H
#define DAEMON_ERRAND_H

#include "post.h"

#include <stdbool.h>

struct errand {
  struct post_item item;
  struct post *post;
  void (*run)(struct errand *e);     /* on the thread; touches nothing that is not the errand's own */
  void (*done)(struct errand *e);    /* on the control thread, once */
  void (*release)(struct errand *e); /* in the place of done, on whatever thread, after errand_abandon() */
  bool abandoned;
};

/* 0, or -1: no thread, and nothing will be called. run, done and release are set. */
int errand_begin(struct errand *e, struct post *post);
/* Nobody wants to hear of it any more. Before post_free(). */
void errand_abandon(struct errand *e);

#endif
