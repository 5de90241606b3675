/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.c - the threads that handshakes run on: one event loop each, fed through a queue and an eventfd.
 *
 * A handshake belongs to one worker for life, and only that worker's thread touches it; the lock covers the table by
 * which others name it, and is never held across a callback.
 */
#include "internal.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define THREADS_MAX 64u
#define BUCKETS     256u

LIST_HEAD(handshake_list, handshake);
STAILQ_HEAD(handshake_queue, handshake);
TAILQ_HEAD(handshake_tailq, handshake);

struct handshake_worker {
  struct handshake_pool *pool;
  pthread_t thread;
  bool running;
  struct event_base *base;
  struct event *wake;
  int wake_fd;

  pthread_mutex_t lock;
  bool stop;
  struct handshake_list table[BUCKETS];
  struct handshake_queue fresh;
  struct handshake_tailq to_cancel;
};

struct handshake_pool {
  unsigned count;
  _Atomic uint64_t next;
  struct handshake_worker worker[];
};

/* ---- the worker's side ------------------------------------------------------------------------------------ */

static struct handshake *pop_fresh(struct handshake_worker *w) {
  pthread_mutex_lock(&w->lock);
  struct handshake *h = STAILQ_FIRST(&w->fresh);
  if (h) {
    STAILQ_REMOVE_HEAD(&w->fresh, fresh);
    h->is_fresh = false;
  }
  pthread_mutex_unlock(&w->lock);
  return h;
}

static struct handshake *pop_cancelled(struct handshake_worker *w) {
  pthread_mutex_lock(&w->lock);
  struct handshake *h = TAILQ_FIRST(&w->to_cancel);
  if (h) {
    TAILQ_REMOVE(&w->to_cancel, h, to_cancel);
    h->is_cancelled = false;
  }
  pthread_mutex_unlock(&w->lock);
  return h;
}

static struct handshake *any_left(struct handshake_worker *w) {
  struct handshake *h = NULL;
  pthread_mutex_lock(&w->lock);
  for (unsigned i = 0; i < BUCKETS && !h; i++)
    h = LIST_FIRST(&w->table[i]);
  pthread_mutex_unlock(&w->lock);
  return h;
}

void handshake_pool_forget(struct handshake *h) {
  struct handshake_worker *w = h->worker;
  pthread_mutex_lock(&w->lock);
  LIST_REMOVE(h, by_id);
  if (h->is_fresh)
    STAILQ_REMOVE(&w->fresh, h, handshake, fresh);
  if (h->is_cancelled)
    TAILQ_REMOVE(&w->to_cancel, h, to_cancel);
  h->is_fresh = h->is_cancelled = false;
  pthread_mutex_unlock(&w->lock);
}

static void on_wake(evutil_socket_t fd, short what, void *arg) {
  struct handshake_worker *w = arg;
  struct handshake *h;
  uint64_t count;
  (void)what;
  (void)!read(fd, &count, sizeof count);
  while ((h = pop_cancelled(w)))
    handshake_one_cancel(h);
  while ((h = pop_fresh(w)))
    handshake_one_begin(h, w->base);

  pthread_mutex_lock(&w->lock);
  bool stop = w->stop;
  pthread_mutex_unlock(&w->lock);
  if (!stop)
    return;
  while ((h = any_left(w)))
    handshake_one_cancel(h);
  event_base_loopbreak(w->base);
}

static void *work(void *arg) {
  struct handshake_worker *w = arg;
  char name[16];
  snprintf(name, sizeof name, "handshake-%u", (unsigned)(w - w->pool->worker) % 100u);
  pthread_setname_np(pthread_self(), name);
  event_base_loop(w->base, EVLOOP_NO_EXIT_ON_EMPTY);
  return NULL;
}

/* ---- making and ending it ------------------------------------------------------------------------------------ */

static void nudge(struct handshake_worker *w) {
  uint64_t one = 1;
  (void)!write(w->wake_fd, &one, sizeof one); /* EAGAIN: it is awake 2^64 times over */
}

/* A pool's threads take no signals: those are the control thread's. */
static int start_thread(struct handshake_worker *w) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int rc = pthread_create(&w->thread, NULL, work, w);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return rc;
}

static bool worker_start(struct handshake_worker *w, struct handshake_pool *pool) {
  struct event_config *config = event_config_new();
  w->pool = pool;
  w->wake_fd = -1;
  pthread_mutex_init(&w->lock, NULL);
  STAILQ_INIT(&w->fresh);
  TAILQ_INIT(&w->to_cancel);
  for (unsigned i = 0; i < BUCKETS; i++)
    LIST_INIT(&w->table[i]);
  if (config) {
    /* Only its own thread ever touches a base; the queue is locked instead. */
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    w->base = event_base_new_with_config(config);
    event_config_free(config);
  }
  w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (!w->base || w->wake_fd < 0)
    return false;
  w->wake = event_new(w->base, w->wake_fd, EV_READ | EV_PERSIST, on_wake, w);
  if (!w->wake || event_add(w->wake, NULL) != 0)
    return false;
  w->running = start_thread(w) == 0;
  return w->running;
}

static void worker_stop(struct handshake_worker *w) {
  if (w->running) {
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_mutex_unlock(&w->lock);
    nudge(w);
    pthread_join(w->thread, NULL);
  }
  if (w->wake)
    event_free(w->wake);
  if (w->base)
    event_base_free(w->base);
  if (w->wake_fd >= 0)
    close(w->wake_fd);
  pthread_mutex_destroy(&w->lock);
}

static unsigned cores(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
    return (unsigned)CPU_COUNT(&set);
  return 1;
}

struct handshake_pool *handshake_pool_new(unsigned threads) {
  if (threads == 0)
    threads = cores();
  if (threads > THREADS_MAX)
    threads = THREADS_MAX;
  struct handshake_pool *pool = calloc(1, sizeof *pool + threads * sizeof pool->worker[0]);
  if (!pool)
    return NULL;
  for (unsigned i = 0; i < threads; i++) {
    bool started = worker_start(&pool->worker[i], pool);
    pool->count++; /* stopped below even if half-started */
    if (!started) {
      handshake_pool_free(pool);
      return NULL;
    }
  }
  return pool;
}

void handshake_pool_free(struct handshake_pool *pool) {
  if (!pool)
    return;
  for (unsigned i = 0; i < pool->count; i++)
    worker_stop(&pool->worker[i]);
  free(pool);
}

/* ---- handshakes by number ---------------------------------------------------------------------------------------
 */

/* The worker is the number's remainder, the bucket comes from the rest. Numbers begin at 1 and never come again. */
static struct handshake_list *bucket(struct handshake_worker *w, uint64_t id) {
  return &w->table[id / w->pool->count % BUCKETS];
}

static struct handshake *handshake_new(const struct handshake_request *request) {
  struct handshake *h = calloc(1, sizeof *h);
  if (!h)
    return NULL;
  h->request = *request;
  identity_ref(request->identity);
  policy_ref(request->policy);
  return h;
}

struct handshake *handshake_begin(struct handshake_pool *pool, const struct handshake_request *request) {
  struct handshake *h = handshake_new(request);
  if (!h)
    return NULL;
  uint64_t id = h->id = atomic_fetch_add(&pool->next, 1) + 1;
  struct handshake_worker *w = h->worker = &pool->worker[id % pool->count];
  pthread_mutex_lock(&w->lock);
  bool stopping = w->stop;
  if (!stopping) {
    LIST_INSERT_HEAD(bucket(w, id), h, by_id);
    STAILQ_INSERT_TAIL(&w->fresh, h, fresh);
    h->is_fresh = true;
  }
  pthread_mutex_unlock(&w->lock);
  if (stopping) {
    handshake_one_free(h);
    return NULL;
  }
  nudge(w);
  /* h may have ended by now. The handle is its number, never followed as a pointer. */
  return (struct handshake *)(uintptr_t)id;
}

uint64_t handshake_id(const struct handshake *h) { return (uint64_t)(uintptr_t)h; }

static struct handshake *find(struct handshake_worker *w, uint64_t id) {
  for (struct handshake *h = LIST_FIRST(bucket(w, id)); h; h = LIST_NEXT(h, by_id))
    if (h->id == id)
      return h;
  return NULL;
}

void handshake_cancel(struct handshake_pool *pool, uint64_t id) {
  struct handshake_worker *w = &pool->worker[id % pool->count];
  pthread_mutex_lock(&w->lock);
  struct handshake *h = find(w, id);
  if (h && !h->is_cancelled) {
    TAILQ_INSERT_TAIL(&w->to_cancel, h, to_cancel);
    h->is_cancelled = true;
  }
  pthread_mutex_unlock(&w->lock);
  if (h)
    nudge(w);
}
