/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clients and their one thread. It takes events from one completion queue for all of them, opens streams
 * again when their time has come, and is the only one that calls back. It never blocks on anything but that
 * queue, and no callback runs under the lock.
 */
#include "client.h"

#include "../observe/log.h"
#include "grpccore.h"
#include "reply.h"

#include <openssl/crypto.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EAGER_MS   5000 /* between two retries without a pause */
#define WATCH_MS   250  /* how often a waiting client looks whether its connection still lives */
#define SILENT_MAX 5    /* failures in a row after which a connection counts as dead */

static struct {
  pthread_mutex_t lock;
  pthread_cond_t changed; /* a callback is over, or a client was freed */
  bool running;
  grpc_completion_queue *cq;
  pthread_t thread;
  struct workload_client all; /* head of the ring */
} w = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

int64_t client_now_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void to_log(const char *line) { log_debug(NULL, "%s", line); }

/* ---- telling ---------------------------------------------------------------------------------------- */

static bool begin_telling(struct workload_client *c) {
  if (c->closing)
    return false;
  c->telling = true;
  pthread_mutex_unlock(&w.lock);
  return true;
}

static void end_telling(struct workload_client *c) {
  pthread_mutex_lock(&w.lock);
  c->telling = false;
  pthread_cond_broadcast(&w.changed);
}

/* Being denied, or unavailable, is told once, and again when the agent's words change. */
static void tell(struct workload_client *c, enum workload_event event, int code, const char *message) {
  bool lasting = event == WORKLOAD_DENIED || event == WORKLOAD_UNAVAILABLE;
  if (lasting && c->told == event && strncmp(c->told_message, message, sizeof c->told_message - 1) == 0)
    return;
  if (lasting) {
    c->told = event;
    snprintf(c->told_message, sizeof c->told_message, "%s", message);
  }
  if (!begin_telling(c))
    return;
  if (c->kind == CLIENT_SVIDS)
    c->fn(c->arg, event, NULL, code, message);
  else
    c->bundles_fn(c->arg, event, NULL, 0, code, message);
  end_telling(c);
}

static void tell_bundles(void *arg, const struct identity_raw_bundle *bundles, size_t count) {
  struct workload_client *c = arg;
  c->bundles_fn(c->arg, WORKLOAD_UPDATE, bundles, count, 0, "");
}

void client_on_reply(struct workload_client *c, uint8_t *msg, size_t len) {
  char why[512] = "out of memory";
  bool good = false;
  if (!begin_telling(c)) {
    OPENSSL_clear_free(msg, len);
    return;
  }
  struct identity *id = NULL;
  if (msg && c->kind == CLIENT_SVIDS)
    id = reply_identity(msg, len, why, sizeof why);
  else if (msg)
    good = reply_bundles(msg, len, tell_bundles, c, why, sizeof why) == 0;
  OPENSSL_clear_free(msg, len); /* before anybody is told: from here on the key is in the identity alone */
  if (id) {
    good = true;
    c->fn(c->arg, WORKLOAD_UPDATE, id, 0, "");
  }
  end_telling(c);
  if (good) {
    c->served = true;
    c->failures = 0;
    c->told = 0;
  } else {
    tell(c, WORKLOAD_BAD_REPLY, 0, why);
  }
}

/* ---- ends and retries --------------------------------------------------------------------------------- */

static void plan_retry(struct workload_client *c, enum workload_event verdict) {
  int64_t now = client_now_ms();
  /* A stream that served and broke is asked for again at once; not if that happens all the time. */
  if (verdict == WORKLOAD_UNAVAILABLE && c->served && now - c->last_eager_ms >= EAGER_MS) {
    c->last_eager_ms = now;
    c->retry_ms = now;
    return;
  }
  c->failures++;
  c->retry_ms = now + client_backoff(c->failures, verdict == WORKLOAD_UNAVAILABLE);
}

static void gone(struct workload_client *c, int code, const char *message) {
  if (c->over)
    return;
  c->over = true;
  c->retry_ms = 0;
  tell(c, WORKLOAD_GONE, code, message);
}

static void on_end(struct workload_client *c) {
  char details[512];
  int code = c->status;
  size_t n = GRPC_SLICE_LENGTH(c->details);
  snprintf(details, sizeof details, "%.*s", (int)(n < sizeof details ? n : sizeof details - 1),
           (const char *)GRPC_SLICE_START_PTR(c->details));
  if (!details[0])
    snprintf(details, sizeof details, "the agent ended the stream (status %d)", code);
  client_stream_free(c);
  if (c->closing)
    return;
  enum workload_event verdict = client_verdict((grpc_status_code)code, details);
  if (!c->endpoint && c->watch < 0) {
    gone(c, GRPC_STATUS_UNAVAILABLE, "the descriptor is not a connection to an agent");
    return;
  }
  bool dead = !c->endpoint && client_channel_dead(c->watch);
  if (dead && verdict == WORKLOAD_UNAVAILABLE) {
    gone(c, code, details);
    return;
  }
  plan_retry(c, verdict);
  tell(c, verdict, code, details);
  if (dead || (!c->endpoint && verdict == WORKLOAD_UNAVAILABLE && c->failures >= SILENT_MAX))
    gone(c, code, details);
}

/* An address is dialed anew for every attempt: gRPC's own pauses between attempts would add to ours. */
static bool redial(struct workload_client *c) {
  char why[512];
  if (!c->endpoint || c->told == WORKLOAD_DENIED)
    return true;
  grpc_channel *fresh = client_channel_address(c->endpoint, why, sizeof why);
  if (!fresh)
    return false;
  grpc_channel_destroy(c->channel);
  c->channel = fresh;
  return true;
}

static void retry(struct workload_client *c, int64_t now) {
  if (!c->endpoint && client_channel_dead(c->watch)) {
    gone(c, 0, "the connection to the agent ended");
    return;
  }
  if (now < c->retry_ms)
    return;
  c->retry_ms = 0;
  if (!redial(c) || !client_stream_open(c, w.cq))
    plan_retry(c, WORKLOAD_BAD_REPLY);
}

/* ---- lives of clients ---------------------------------------------------------------------------------- */

static void client_free(struct workload_client *c) {
  c->prev->next = c->next;
  c->next->prev = c->prev;
  client_stream_free(c);
  grpc_channel_destroy(c->channel);
  if (c->watch >= 0)
    close(c->watch);
  free(c->endpoint);
  free(c);
  pthread_cond_broadcast(&w.changed);
}

static void release(struct workload_client *c) {
  c->busy = false;
  if (c->closing && c->pending == 0 && !c->held)
    client_free(c);
}

/* Opens the streams whose time has come; when to look again (CLOCK_MONOTONIC, ms), or -1. */
static int64_t on_time(void) {
  int64_t now = client_now_ms(), next = -1;
  struct workload_client *c = w.all.next;
  while (c != &w.all) {
    if (c->retry_ms && !c->closing && !c->over) {
      c->busy = true;
      retry(c, now);
      if (c->retry_ms) {
        int64_t at = c->endpoint || c->retry_ms < now + WATCH_MS ? c->retry_ms : now + WATCH_MS;
        next = next < 0 || at < next ? at : next;
      }
      struct workload_client *after = c->next; /* read late: retry() lets go of the lock now and then */
      release(c);
      c = after;
    } else {
      c = c->next;
    }
  }
  return next;
}

static void *poller(void *arg) {
  (void)arg;
  pthread_mutex_lock(&w.lock);
  for (;;) {
    int64_t at = on_time();
    gpr_timespec until = at < 0 ? gpr_inf_future(GPR_CLOCK_MONOTONIC)
                                : gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                               gpr_time_from_millis(at - client_now_ms() + 1, GPR_TIMESPAN));
    pthread_mutex_unlock(&w.lock);
    grpc_event e = grpc_completion_queue_next(w.cq, until, NULL);
    if (e.type == GRPC_QUEUE_SHUTDOWN)
      return NULL;
    pthread_mutex_lock(&w.lock);
    if (e.type != GRPC_OP_COMPLETE)
      continue;
    struct client_tag *tag = e.tag;
    struct workload_client *c = tag->client;
    c->busy = true;
    tag->fn(c, e.success != 0);
    if (--c->pending == 0)
      on_end(c);
    release(c);
  }
}

int workload_start(void) {
  sigset_t all, before;
  int rc = 0;
  pthread_mutex_lock(&w.lock);
  if (!w.running) {
    grpccore_start(to_log);
    w.cq = grpc_completion_queue_create_for_next(NULL);
    w.all.prev = w.all.next = &w.all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&w.thread, NULL, poller, NULL) == 0 ? 0 : -1;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    w.running = rc == 0;
    if (rc != 0) {
      grpc_completion_queue_shutdown(w.cq);
      while (grpc_completion_queue_next(w.cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type != GRPC_QUEUE_SHUTDOWN)
        ;
      grpc_completion_queue_destroy(w.cq);
      grpccore_stop();
    }
  }
  pthread_mutex_unlock(&w.lock);
  return rc;
}

void workload_stop(void) {
  pthread_mutex_lock(&w.lock);
  if (!w.running) {
    pthread_mutex_unlock(&w.lock);
    return;
  }
  w.running = false;
  for (struct workload_client *c = w.all.next; c != &w.all; c = c->next) {
    c->closing = true;
    if (c->call)
      grpc_call_cancel(c->call, NULL);
  }
  while (w.all.next != &w.all) {
    for (struct workload_client *c = w.all.next, *next; c != &w.all; c = next) {
      next = c->next;
      if (!c->busy && c->pending == 0 && !c->held)
        client_free(c);
    }
    if (w.all.next != &w.all)
      pthread_cond_wait(&w.changed, &w.lock);
  }
  pthread_mutex_unlock(&w.lock);
  grpc_completion_queue_shutdown(w.cq);
  pthread_join(w.thread, NULL);
  grpc_completion_queue_destroy(w.cq);
  grpccore_stop();
}

static struct workload_client *client_open(struct workload_client *from) {
  struct workload_client *c = malloc(sizeof *c);
  if (!c) {
    grpc_channel_destroy(from->channel);
    if (from->watch >= 0)
      close(from->watch);
    free(from->endpoint);
    return NULL;
  }
  *c = *from;
  c->last_eager_ms = -EAGER_MS;
  pthread_mutex_lock(&w.lock);
  c->next = &w.all;
  c->prev = w.all.prev;
  c->prev->next = c->next->prev = c;
  c->busy = true; /* the first event may be there before we have let go */
  bool ok = client_stream_open(c, w.cq);
  c->busy = false;
  if (!ok) {
    client_free(c);
    c = NULL;
  }
  pthread_mutex_unlock(&w.lock);
  return c;
}

struct workload_client *workload_open_fd(int fd, workload_fn fn, void *arg) {
  struct workload_client c = {.kind = CLIENT_SVIDS, .fn = fn, .arg = arg};
  c.channel = client_channel_fd(fd, &c.watch);
  return client_open(&c);
}

struct workload_client *workload_open_bundles_fd(int fd, workload_bundles_fn fn, void *arg) {
  struct workload_client c = {.kind = CLIENT_BUNDLES, .bundles_fn = fn, .arg = arg};
  c.channel = client_channel_fd(fd, &c.watch);
  return client_open(&c);
}

struct workload_client *workload_open_address(const char *endpoint, workload_fn fn, void *arg) {
  struct workload_client c = {.kind = CLIENT_SVIDS, .fn = fn, .arg = arg, .watch = -1};
  char why[512];
  c.channel = client_channel_address(endpoint, why, sizeof why);
  if (!c.channel) {
    log_error(NULL, "Workload API: %s", why);
    return NULL;
  }
  c.endpoint = strdup(endpoint);
  if (!c.endpoint) {
    grpc_channel_destroy(c.channel);
    return NULL;
  }
  return client_open(&c);
}

void workload_close(struct workload_client *c) {
  if (!c)
    return;
  pthread_mutex_lock(&w.lock);
  c->closing = true;
  if (c->call)
    grpc_call_cancel(c->call, NULL);
  c->held = true;
  while (c->telling)
    pthread_cond_wait(&w.changed, &w.lock);
  c->held = false;
  if (!c->busy && c->pending == 0)
    client_free(c);
  pthread_mutex_unlock(&w.lock);
}
