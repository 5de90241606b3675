/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.c - counters and token buckets in a bounded hash table. Nothing is taken from any bucket before all have
 * said yes.
 */
#include "limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define HEADS 1024u

/* One rule, or one peer of a rule. */
struct limit {
  LIST_ENTRY(limit) link;
  const struct config *config; /* compared, never followed */
  char *rule, *peer;           /* peer "": the rule as a whole */
  unsigned live;
  uint32_t rate, burst; /* as of the last question */
  double tokens;
  int64_t filled_ms;
};
LIST_HEAD(limit_list, limit);

struct limits {
  struct limit_list heads[HEADS];
  unsigned count, sweep_at;
};

struct limits *limits_new(void) {
  return calloc(1, sizeof(struct limits));
}

static void limit_free(struct limits *l, struct limit *x) {
  LIST_REMOVE(x, link);
  l->count--;
  free(x->rule);
  free(x->peer);
  free(x);
}

void limits_free(struct limits *l) {
  for (size_t i = 0; l && i < HEADS; i++)
    while (!LIST_EMPTY(&l->heads[i]))
      limit_free(l, LIST_FIRST(&l->heads[i]));
  free(l);
}

static uint32_t hash(const struct config *c, const char *rule, const char *peer) {
  uint32_t h = 2166136261u ^ (uint32_t)((uintptr_t)c >> 4);
  for (; *rule; rule++)
    h = (h ^ (uint8_t)*rule) * 16777619u;
  for (h *= 16777619u; *peer; peer++)
    h = (h ^ (uint8_t)*peer) * 16777619u;
  return h % HEADS;
}

static void fill(struct limit *x, int64_t now) {
  int64_t passed = now - x->filled_ms;
  if (passed > 0)
    x->tokens += (double)passed * x->rate / 1000;
  if (x->tokens > x->burst)
    x->tokens = x->burst;
  x->filled_ms = now;
}

/* Nothing depends on it any more: it says what a fresh one would say. */
static bool idle(struct limit *x, int64_t now) {
  fill(x, now);
  return x->live == 0 && x->tokens >= x->burst;
}

/* Makes room by what is idle, a part of the table at a time. */
static void sweep(struct limits *l, int64_t now) {
  for (unsigned i = 0; i < HEADS && l->count >= LIMITS_MAX; i++) {
    struct limit *x, *next;
    for (x = LIST_FIRST(&l->heads[l->sweep_at]); x; x = next) {
      next = LIST_NEXT(x, link);
      if (idle(x, now))
        limit_free(l, x);
    }
    l->sweep_at = (l->sweep_at + 1) % HEADS;
  }
}

/* The entry, made when there is none; a fresh bucket is full. NULL: no room. */
static struct limit *find(struct limits *l, const struct config *c, const char *rule, const char *peer, uint32_t rate,
                          uint32_t burst, int64_t now) {
  uint32_t at = hash(c, rule, peer);
  struct limit *x;
  LIST_FOREACH(x, &l->heads[at], link)
  if (x->config == c && strcmp(x->rule, rule) == 0 && strcmp(x->peer, peer) == 0)
    break;
  if (!x) {
    sweep(l, now);
    x = l->count < LIMITS_MAX ? calloc(1, sizeof *x) : NULL;
    if (!x)
      return NULL;
    *x = (struct limit){
        .config = c, .rule = strdup(rule), .peer = strdup(peer), .rate = rate, .burst = burst, .tokens = burst};
    if (!x->rule || !x->peer) {
      free(x->rule);
      free(x->peer);
      free(x);
      return NULL;
    }
    x->filled_ms = now;
    LIST_INSERT_HEAD(&l->heads[at], x, link);
    l->count++;
  }
  fill(x, now); /* by the rate that held until now */
  x->rate = rate;
  x->burst = burst;
  if (x->tokens > burst)
    x->tokens = burst;
  return x;
}

static bool spent(const struct limit *x) { return x && x->rate && x->tokens < 1; }

static void take(struct limits_hold *hold) {
  struct limit *both[2] = {hold->rule, hold->peer};
  for (int i = 0; i < 2; i++) {
    if (both[i])
      both[i]->live++;
    if (both[i] && both[i]->rate && both[i]->tokens >= 1)
      both[i]->tokens -= 1;
  }
}

/* The entries that the rule's limits need. false: no room for them. */
static bool look_up(struct limits *l, const struct config *c, const struct policy_rule *rule, const char *peer,
                    int64_t now, struct limits_hold *hold) {
  const struct policy_limits *m = &rule->limits;
  *hold = (struct limits_hold){0};
  if (m->connections || m->rate) {
    hold->rule = find(l, c, rule->name, "", m->rate, m->burst, now);
    if (!hold->rule)
      return false;
    hold->rule->live++; /* not swept away by what comes next */
  }
  bool ok = true;
  if (m->connections_per_peer || m->rate_per_peer)
    ok = (hold->peer = find(l, c, rule->name, peer, m->rate_per_peer, m->burst_per_peer, now)) != NULL;
  if (hold->rule)
    hold->rule->live--;
  return ok;
}

bool limits_admit(struct limits *l, const struct config *c, const struct policy_rule *rule, const char *peer,
                  int64_t now_ms, struct limits_hold *hold, char *why, size_t why_len) {
  const struct policy_limits *m = &rule->limits;
  bool ok = look_up(l, c, rule, peer, now_ms, hold);
  if (!ok)
    snprintf(why, why_len, "over the limit: more than %u rules and peers would have to be counted", LIMITS_MAX);
  else if (m->connections && hold->rule->live >= m->connections)
    snprintf(why, why_len, "over the limit: connections: %u", m->connections);
  else if (m->connections_per_peer && hold->peer->live >= m->connections_per_peer)
    snprintf(why, why_len, "over the limit: connections_per_peer: %u", m->connections_per_peer);
  else if (spent(hold->rule))
    snprintf(why, why_len, "over the limit: rate: %u", m->rate);
  else if (spent(hold->peer))
    snprintf(why, why_len, "over the limit: rate_per_peer: %u", m->rate_per_peer);
  else {
    take(hold);
    return true;
  }
  *hold = (struct limits_hold){0};
  return false;
}

void limits_count(struct limits *l, const struct config *c, const struct policy_rule *rule, const char *peer,
                  int64_t now_ms, struct limits_hold *hold) {
  look_up(l, c, rule, peer, now_ms, hold);
  if (hold->rule)
    hold->rule->live++;
  if (hold->peer)
    hold->peer->live++;
}

void limits_release(struct limits_hold *hold) {
  if (hold->rule)
    hold->rule->live--;
  if (hold->peer)
    hold->peer->live--;
  *hold = (struct limits_hold){0};
}
