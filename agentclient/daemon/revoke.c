/* SPDX-License-Identifier: Apache-2.0 */
/*
 * revoke.c - in batches, off the control thread, and again until the program has let go or there is no more hope.
 * Where no socket can be shut from outside (Yama), the program is rung to do it itself.
 */
#include "revoke.h"
#include "clock.h"
#include "errand.h"
#include "sever.h"
#include "worker.h"
#include "../observe/audit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH        1024u
#define AGAIN_MS     50
#define AGAIN_MAX_MS 2000
#define TRIES_MAX    20u

struct batch {
  struct errand errand;
  struct revoke *revoke;
  size_t count;
  struct live *live[BATCH];
  struct sever_target target[BATCH];
};

struct revoke {
  struct worker *worker;
  struct live_list dying;
  struct event timer;
  struct batch *batch; /* under way */
};

static void enqueue(struct revoke *r, struct live *l) {
  TAILQ_INSERT_TAIL(&r->dying, l, dying);
  l->queued = true;
}

static void dequeue(struct revoke *r, struct live *l) {
  if (l->queued)
    TAILQ_REMOVE(&r->dying, l, dying);
  l->queued = false;
}

static void arm(struct revoke *r, int64_t ms) {
  struct timeval tv = clock_timeval(ms);
  evtimer_add(&r->timer, &tv);
}

static void batch_run(struct errand *e) {
  struct batch *b = POST_OWNER(e, struct batch, errand);
  sever(b->target, b->count);
}

static void batch_release(struct errand *e) { free(POST_OWNER(e, struct batch, errand)); }

/* It could not be shut: the program itself can, if it accepts anywhere. */
static void again(struct revoke *r, struct live *l) {
  if (++l->tries == 1 && l->slots)
    listeners_ring_sweep(l->session);
  int64_t wait = (int64_t)AGAIN_MS << (l->tries < 6 ? l->tries : 6);
  l->next_ms = clock_ms() + (wait < AGAIN_MAX_MS ? wait : AGAIN_MAX_MS);
  if (l->tries < TRIES_MAX)
    return;
  log_warning(l->session->config->log,
              "%s (pid %d) keeps a connection that has to end (%s), and it cannot be shut from outside; %s",
              l->session->program, (int)l->session->pid, l->revoked,
              l->plain ? "it is in plaintext: end the program" : "every further call on it fails");
  dequeue(r, l);
}

static void live_release(struct live *l) {
  l->severing = false;
  if (l->freed)
    free(l);
}

static void batch_done(struct errand *e) {
  struct batch *b = POST_OWNER(e, struct batch, errand);
  struct revoke *r = b->revoke;
  for (size_t i = 0; i < b->count; i++) {
    struct live *l = b->live[i];
    if (b->target[i].done)
      dequeue(r, l);
    else if (!l->freed)
      again(r, l);
    live_release(l);
  }
  r->batch = NULL;
  free(b);
  if (!TAILQ_EMPTY(&r->dying))
    arm(r, AGAIN_MS);
}

static void pump(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  struct revoke *r = arg;
  if (r->batch || TAILQ_EMPTY(&r->dying))
    return;
  struct batch *b = calloc(1, sizeof *b);
  if (!b) {
    arm(r, AGAIN_MS);
    return;
  }
  int64_t now = clock_ms();
  struct live *l;
  TAILQ_FOREACH(l, &r->dying, dying)
  if (b->count < BATCH && l->next_ms <= now) {
    b->target[b->count] = (struct sever_target){.id = l->id, .inode = l->inode, .uid = l->session->uid};
    b->live[b->count++] = l;
    l->severing = true;
  }
  b->revoke = r;
  b->errand.run = batch_run;
  b->errand.done = batch_done;
  b->errand.release = batch_release;
  if (b->count && errand_begin(&b->errand, r->worker->post) == 0) {
    r->batch = b;
    return;
  }
  for (size_t i = 0; i < b->count; i++)
    b->live[i]->severing = false;
  free(b);
  arm(r, AGAIN_MS);
}

static void audit(const struct live *l) {
  struct sockaddr_in6 local, remote;
  diag_addresses(&l->id, &local, &remote);
  const struct policy_rule *rule = policy_rule_at(l->session->config->policy, l->rule);
  struct audit_event e = {.event = "revocation",
                          .result = "closed",
                          .direction = l->inbound ? "inbound" : "outbound",
                          .client_spiffe_id = l->inbound ? l->peer : l->self,
                          .server_spiffe_id = l->inbound ? l->self : l->peer,
                          .rule = rule ? rule->name : "",
                          .local = (struct sockaddr *)&local,
                          .remote = (struct sockaddr *)&remote,
                          .reason = l->revoked,
                          .pid = l->session->pid,
                          .program = l->session->program};
  (void)audit_write(l->session->config->audit, &e);
}

void revoke_live(struct live *l, const char *why) {
  struct revoke *r = l->worker->revoke;
  if (l->revoked)
    return;
  l->revoked = why;
  l->next_ms = 0;
  l->worker->revoked++;
  if (l->slots)
    slots_revoke(l->slots, l->ticket, ECONNRESET);
  audit(l);
  enqueue(r, l);
  if (!r->batch)
    arm(r, 0);
}

bool revoke_forget(struct live *l) {
  dequeue(l->worker->revoke, l);
  l->freed = true;
  return !l->severing;
}

struct revoke *revoke_new(struct worker *w) {
  struct revoke *r = calloc(1, sizeof *r);
  if (!r)
    return NULL;
  r->worker = w;
  TAILQ_INIT(&r->dying);
  evtimer_assign(&r->timer, w->base, pump, r);
  return r;
}

/* The records are gone by then, but for those that the thread has. */
void revoke_free(struct revoke *r) {
  if (!r)
    return;
  evtimer_del(&r->timer);
  if (r->batch) {
    for (size_t i = 0; i < r->batch->count; i++)
      live_release(r->batch->live[i]);
    errand_abandon(&r->batch->errand);
  }
  free(r);
}
