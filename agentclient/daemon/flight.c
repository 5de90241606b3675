/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flight.c - carries a handshake's result from the pool's thread to the control thread.
 */
#include "flight.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>

struct flight {
  struct post_item item;
  struct post *post;
  struct handshake_pool *pool;
  pthread_mutex_t lock; /* holds the pool's callback off until the id is known: the handle dies with it */
  uint64_t id;
  flight_fn done;
  void *arg;
  struct handshake_result result;
};

static void flight_free(struct flight *f) {
  pthread_mutex_destroy(&f->lock);
  OPENSSL_cleanse(&f->result, sizeof f->result);
  free(f);
}

static void flight_land(struct post_item *item) {
  struct flight *f = POST_OWNER(item, struct flight, item);
  f->done(f->arg, &f->result);
  flight_free(f);
}

static void flight_finished(void *arg, int fd, struct handshake_result *result) {
  (void)fd;
  struct flight *f = arg;
  pthread_mutex_lock(&f->lock);
  f->result = *result;
  pthread_mutex_unlock(&f->lock);
  post_send(f->post, &f->item);
}

struct flight *flight_begin(struct post *post, struct handshake_pool *pool, const struct handshake_request *request,
                            flight_fn done, void *arg) {
  struct flight *f = calloc(1, sizeof *f);
  if (!f)
    return NULL;
  pthread_mutex_init(&f->lock, NULL);
  f->item.fn = flight_land;
  f->post = post;
  f->pool = pool;
  f->done = done;
  f->arg = arg;
  struct handshake_request r = *request;
  r.done = flight_finished;
  r.arg = f;
  pthread_mutex_lock(&f->lock);
  struct handshake *h = handshake_begin(pool, &r);
  if (h)
    f->id = handshake_id(h);
  pthread_mutex_unlock(&f->lock);
  if (!h) {
    flight_free(f);
    return NULL;
  }
  return f;
}

void flight_cancel(struct flight *f) { handshake_cancel(f->pool, f->id); }
