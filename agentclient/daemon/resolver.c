/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolver.c - a list of names with their addresses, on the control thread; and behind it a few threads that do
 * nothing but call the lookup function. A job goes there and comes back by post; they share nothing else.
 */
#include "resolver.h"
#include "clock.h"
#include "../observe/log.h"

#include <event2/event_struct.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define THREADS     4
#define STACK_BYTES (1024u * 1024) /* name service modules are not ours */
#define RETRY_MS    1000           /* after the first failure; then twice that */
#define AGAIN_MS    1000

struct job {
  STAILQ_ENTRY(job) link;
  struct post_item item;
  struct shop *shop; /* referenced */
  char name[256];
  struct resolver_answer answer;
};

/* What the threads see. It outlives the resolver for as long as a lookup is under way. */
struct shop {
  pthread_mutex_t lock;
  pthread_cond_t work;
  STAILQ_HEAD(, job) queue;
  unsigned refs; /* the resolver, each thread, each job */
  unsigned threads, idle;
  bool closed;
  resolver_lookup lookup;
  struct post *post;         /* not after closed */
  struct resolver *resolver; /* control thread only; NULL once it is gone */
};

struct host {
  LIST_ENTRY(host) link;
  char name[256];
  bool wanted, tried, busy, asked, failing;
  int64_t begun_ms, due_ms, retry_ms;
  size_t count;
  uint8_t addr[RESOLVER_ADDRESSES][16];
  int64_t seen_ms[RESOLVER_ADDRESSES]; /* in an answer, last */
};

struct resolver {
  struct shop *shop;
  LIST_HEAD(, host) hosts;
  struct event timer;
  void (*changed)(void *arg);
  void *arg;
};

/* -- the threads -- */

static void shop_unref(struct shop *s) {
  pthread_mutex_lock(&s->lock);
  bool last = --s->refs == 0;
  pthread_mutex_unlock(&s->lock);
  if (!last)
    return;
  pthread_cond_destroy(&s->work);
  pthread_mutex_destroy(&s->lock);
  free(s);
}

static void job_free(struct job *j) {
  struct shop *s = j->shop;
  free(j);
  shop_unref(s);
}

static void job_done(struct post_item *item);

static void *work(void *arg) {
  struct shop *s = arg;
  pthread_mutex_lock(&s->lock);
  while (!s->closed) {
    struct job *j = STAILQ_FIRST(&s->queue);
    if (!j) {
      s->idle++;
      pthread_cond_wait(&s->work, &s->lock);
      s->idle--;
      continue;
    }
    STAILQ_REMOVE_HEAD(&s->queue, link);
    pthread_mutex_unlock(&s->lock);
    s->lookup(j->name, &j->answer);
    pthread_mutex_lock(&s->lock);
    if (!s->closed) {
      j->item.fn = job_done;
      post_send(s->post, &j->item);
      continue;
    }
    pthread_mutex_unlock(&s->lock);
    job_free(j);
    pthread_mutex_lock(&s->lock);
  }
  pthread_mutex_unlock(&s->lock);
  shop_unref(s);
  return NULL;
}

/* With the lock held. Without any thread the job waits for the next try. */
static void hire(struct shop *s) {
  pthread_attr_t attr;
  pthread_t t;
  if (s->idle || s->threads == THREADS || pthread_attr_init(&attr) != 0)
    return;
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attr, STACK_BYTES);
  s->refs++;
  if (pthread_create(&t, &attr, work, s) == 0)
    s->threads++;
  else
    s->refs--;
  pthread_attr_destroy(&attr);
}

static bool job_send(struct shop *s, const char *name) {
  struct job *j = calloc(1, sizeof *j);
  if (!j)
    return false;
  memcpy(j->name, name, strlen(name) + 1);
  j->shop = s;
  pthread_mutex_lock(&s->lock);
  s->refs++;
  STAILQ_INSERT_TAIL(&s->queue, j, link);
  hire(s);
  pthread_cond_signal(&s->work);
  pthread_mutex_unlock(&s->lock);
  return true;
}

void resolver_getaddrinfo(const char *name, struct resolver_answer *out) {
  const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  struct addrinfo *list = NULL;
  uint16_t port;
  out->count = 0;
  out->error = getaddrinfo(name, NULL, &hints, &list);
  if (out->error)
    return;
  for (struct addrinfo *ai = list; ai && out->count < RESOLVER_ADDRESSES; ai = ai->ai_next)
    if (rules_address(ai->ai_addr, ai->ai_addrlen, out->addr[out->count], &port) == 0)
      out->count++;
  freeaddrinfo(list);
}

/* -- the list -- */

static struct host *find(const struct resolver *r, const char *name) {
  struct host *h;
  LIST_FOREACH(h, &r->hosts, link)
  if (strcmp(h->name, name) == 0)
    return h;
  return NULL;
}

static void look_up(struct resolver *r, struct host *h) {
  int64_t now = clock_ms();
  if (h->busy)
    return;
  h->begun_ms = now;
  h->due_ms = now + RESOLVER_REFRESH_MS;
  h->busy = job_send(r->shop, h->name);
}

static void set_timer(struct resolver *r) {
  const struct host *h;
  int64_t now = clock_ms(), next = now + RESOLVER_REFRESH_MS;
  LIST_FOREACH(h, &r->hosts, link)
  if (!h->busy && h->due_ms < next)
    next = h->due_ms;
  struct timeval tv = clock_timeval(next > now ? next - now : 1);
  if (LIST_EMPTY(&r->hosts))
    evtimer_del(&r->timer);
  else
    evtimer_add(&r->timer, &tv);
}

static void due(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  struct resolver *r = arg;
  struct host *h;
  int64_t now = clock_ms();
  LIST_FOREACH(h, &r->hosts, link)
  if (h->due_ms <= now)
    look_up(r, h);
  set_timer(r);
}

/* One address of an answer. true: it is new. */
static bool keep(struct host *h, const uint8_t addr[16], int64_t now) {
  size_t at = 0, oldest = 0;
  while (at < h->count && memcmp(h->addr[at], addr, 16) != 0) {
    if (h->seen_ms[at] < h->seen_ms[oldest])
      oldest = at;
    at++;
  }
  bool fresh = at == h->count;
  if (fresh && h->count == RESOLVER_ADDRESSES)
    at = oldest;
  else if (fresh)
    h->count++;
  memcpy(h->addr[at], addr, 16);
  h->seen_ms[at] = now;
  return fresh;
}

/* What has not been in an answer for long. true: something was. */
static bool expire(struct host *h, int64_t now) {
  size_t left = 0, had = h->count;
  for (size_t i = 0; i < had; i++) {
    if (now - h->seen_ms[i] > RESOLVER_KEEP_MS)
      continue;
    memmove(h->addr[left], h->addr[i], 16);
    h->seen_ms[left++] = h->seen_ms[i];
  }
  h->count = left;
  return left != had;
}

static void failed(struct host *h, int error) {
  const char *known = h->count ? "the addresses it had stay covered"
                               : "until it resolves only programs that ask for it by this name are covered";
  if (!h->failing)
    log_warning(NULL, "host name %s of a connect rule: %s; %s", h->name, error ? gai_strerror(error) : "no address",
                known);
  h->failing = true;
  h->retry_ms = h->retry_ms ? 2 * h->retry_ms : RETRY_MS;
  if (h->retry_ms > RESOLVER_REFRESH_MS)
    h->retry_ms = RESOLVER_REFRESH_MS;
  h->due_ms = clock_ms() + h->retry_ms;
}

static bool answered(struct host *h, const struct resolver_answer *a) {
  bool changed = !h->tried || h->asked;
  int64_t now = clock_ms();
  h->busy = h->asked = false;
  h->tried = true;
  if (a->error || a->count == 0) {
    failed(h, a->error); /* what was known stays: a name server that is away uncovers nothing */
    return changed;
  }
  for (size_t i = 0; i < a->count; i++)
    changed = keep(h, a->addr[i], now) || changed;
  changed = expire(h, now) || changed;
  if (h->failing)
    log_info(NULL, "host name %s of a connect rule resolves again", h->name);
  h->failing = false;
  h->retry_ms = 0;
  h->due_ms = now + RESOLVER_REFRESH_MS;
  return changed;
}

static void job_done(struct post_item *item) {
  struct job *j = POST_OWNER(item, struct job, item);
  struct resolver *r = j->shop->resolver;
  struct host *h = r ? find(r, j->name) : NULL;
  bool changed = h && answered(h, &j->answer);
  job_free(j);
  if (h)
    set_timer(r);
  if (changed)
    r->changed(r->arg);
}

/* -- what others call -- */

struct resolver *resolver_new(struct event_base *base, struct post *post, resolver_lookup lookup,
                              void (*changed)(void *arg), void *arg) {
  struct resolver *r = calloc(1, sizeof *r);
  struct shop *s = calloc(1, sizeof *s);
  if (!r || !s) {
    free(r);
    free(s);
    return NULL;
  }
  pthread_mutex_init(&s->lock, NULL);
  pthread_cond_init(&s->work, NULL);
  STAILQ_INIT(&s->queue);
  s->refs = 1;
  s->lookup = lookup;
  s->post = post;
  s->resolver = r;
  r->shop = s;
  r->changed = changed;
  r->arg = arg;
  LIST_INIT(&r->hosts);
  evtimer_assign(&r->timer, base, due, r);
  return r;
}

static void host_free(struct host *h) {
  LIST_REMOVE(h, link);
  free(h);
}

void resolver_free(struct resolver *r) {
  if (!r)
    return;
  struct shop *s = r->shop;
  STAILQ_HEAD(, job) left = STAILQ_HEAD_INITIALIZER(left);
  pthread_mutex_lock(&s->lock);
  s->closed = true;
  s->resolver = NULL;
  STAILQ_CONCAT(&left, &s->queue);
  pthread_cond_broadcast(&s->work);
  pthread_mutex_unlock(&s->lock);
  for (struct job *j; (j = STAILQ_FIRST(&left));) {
    STAILQ_REMOVE_HEAD(&left, link);
    job_free(j);
  }
  shop_unref(s);
  while (!LIST_EMPTY(&r->hosts))
    host_free(LIST_FIRST(&r->hosts));
  event_del(&r->timer);
  free(r);
}

void resolver_begin(struct resolver *r) {
  struct host *h;
  LIST_FOREACH(h, &r->hosts, link)
  h->wanted = false;
}

void resolver_want(struct resolver *r, const char *name) {
  struct host *h = find(r, name);
  if (!h && strlen(name) < sizeof h->name && (h = calloc(1, sizeof *h))) {
    memcpy(h->name, name, strlen(name) + 1);
    LIST_INSERT_HEAD(&r->hosts, h, link);
    look_up(r, h);
  }
  if (h)
    h->wanted = true;
}

void resolver_end(struct resolver *r) {
  struct host *h, *next;
  for (h = LIST_FIRST(&r->hosts); h; h = next) {
    next = LIST_NEXT(h, link);
    if (!h->wanted)
      host_free(h);
  }
  set_timer(r);
}

void resolver_again(struct resolver *r, const char *name) {
  struct host *h = find(r, name);
  if (!h || (!h->busy && clock_ms() - h->begun_ms < AGAIN_MS))
    return;
  look_up(r, h);
  h->asked = h->busy;
}

bool resolver_pending(const struct resolver *r, const char *name) {
  const struct host *h = find(r, name);
  return h && h->busy && (!h->tried || h->asked) && clock_ms() - h->begun_ms < RESOLVER_PATIENCE_MS;
}

bool resolver_found(const struct resolver *r, const char *name, struct policy_addresses *out) {
  const struct host *h = find(r, name);
  if (!h || h->count == 0)
    return false;
  *out = (struct policy_addresses){.name = h->name, .count = h->count, .addr = h->addr};
  return true;
}
