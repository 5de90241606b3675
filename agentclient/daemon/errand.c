/* SPDX-License-Identifier: Apache-2.0 */
/*
 * errand.c - a detached thread with all signals blocked. Never waited for: one that hangs hangs alone.
 */
#include "errand.h"

#include <pthread.h>
#include <signal.h>

#define STACK (256u * 1024u)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* abandoned, and whether it was posted before */

static void errand_landed(struct post_item *item) {
  struct errand *e = POST_OWNER(item, struct errand, item);
  if (e->abandoned)
    e->release(e);
  else
    e->done(e);
}

static void *errand_run(void *arg) {
  struct errand *e = arg;
  e->run(e);
  pthread_mutex_lock(&lock);
  bool abandoned = e->abandoned;
  if (!abandoned)
    post_send(e->post, &e->item);
  pthread_mutex_unlock(&lock);
  if (abandoned)
    e->release(e);
  return NULL;
}

int errand_begin(struct errand *e, struct post *post) {
  pthread_attr_t attr;
  pthread_t thread;
  sigset_t all, before;
  e->item.fn = errand_landed;
  e->post = post;
  e->abandoned = false;
  if (pthread_attr_init(&attr) != 0)
    return -1;
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attr, STACK);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int rc = pthread_create(&thread, &attr, errand_run, e);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attr);
  return rc == 0 ? 0 : -1;
}

void errand_abandon(struct errand *e) {
  pthread_mutex_lock(&lock);
  e->abandoned = true;
  pthread_mutex_unlock(&lock);
}
