/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.c - counters per rule and peer in two hash tables; see ledger.h. Peers choose addresses and IDs, so the
 * number of entries is bounded and the hash is seeded.
 */
#include "ledger_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct ledger *ledger_new(time_t now) {
  struct ledger *l = calloc(1, sizeof *l);
  if (!l)
    return NULL;
  if (getrandom(&l->seed, sizeof l->seed, GRND_NONBLOCK) != (ssize_t)sizeof l->seed)
    l->seed = (uint64_t)now ^ (uintptr_t)l;
  TAILQ_INIT(&l->all);
  TAILQ_INIT(&l->dirty);
  l->gaps.began = now;
  return l;
}

static uint64_t mix(uint64_t h, const char *text) {
  for (; *text; text++)
    h = (h ^ (unsigned char)*text) * 0x9e3779b97f4a7c15u, h ^= h >> 29;
  return (h ^ 0x1ff) * 0x9e3779b97f4a7c15u; /* an end, so that "ab","c" is not "a","bc" */
}

static uint32_t hash(const struct ledger *l, const char *config, const char *rule, bool inbound, const char *peer) {
  uint64_t h = mix(mix(l->seed + inbound, config), rule);
  if (peer)
    h = mix(h, peer);
  return (uint32_t)(h >> 32);
}

static void entry_drop(struct ledger *l, struct ledger_entry *e) {
  struct ledger_entry **at = &l->entries[e->hash % LEDGER_SLOTS];
  while (*at != e)
    at = &(*at)->next;
  *at = e->next;
  TAILQ_REMOVE(&l->all, e, all);
  ledger_entry_clean(l, e);
  if (e->rule->others == e) {
    e->rule->others = NULL;
  } else {
    e->rule->peers--;
    l->entry_count--;
  }
  ledger_spans_free(&e->spans);
  free(e->peer);
  free(e);
}

static void rule_free(struct ledger_rule *r) {
  if (!r)
    return;
  free(r->config);
  free(r->name);
  free(r);
}

void ledger_free(struct ledger *l) {
  if (!l)
    return;
  while (!TAILQ_EMPTY(&l->all))
    entry_drop(l, TAILQ_FIRST(&l->all));
  for (unsigned i = 0; i < LEDGER_SLOTS; i++)
    for (struct ledger_rule *r = l->rules[i], *next; r; r = next) {
      next = r->next;
      rule_free(r);
    }
  free(l);
}

static struct ledger_rule *rule_of(struct ledger *l, const char *config, const char *name, bool inbound) {
  uint32_t h = hash(l, config, name, inbound, NULL);
  struct ledger_rule *r = l->rules[h % LEDGER_SLOTS];
  for (; r; r = r->next)
    if (r->hash == h && r->inbound == inbound && strcmp(r->name, name) == 0 && strcmp(r->config, config) == 0)
      return r;
  if (l->rule_count >= LEDGER_RULES_MAX)
    return NULL;
  r = calloc(1, sizeof *r);
  if (!r)
    return NULL;
  *r = (struct ledger_rule){.hash = h, .config = strdup(config), .name = strdup(name), .inbound = inbound};
  if (!r->config || !r->name) {
    rule_free(r);
    return NULL;
  }
  r->next = l->rules[h % LEDGER_SLOTS];
  l->rules[h % LEDGER_SLOTS] = r;
  l->rule_count++;
  return r;
}

static struct ledger_entry *entry_new(struct ledger *l, struct ledger_rule *r, const char *peer, uint32_t h) {
  struct ledger_entry *e = calloc(1, sizeof *e);
  if (!e)
    return NULL;
  e->peer = strdup(peer);
  if (!e->peer) {
    free(e);
    return NULL;
  }
  e->hash = h;
  e->rule = r;
  e->next = l->entries[h % LEDGER_SLOTS];
  l->entries[h % LEDGER_SLOTS] = e;
  TAILQ_INSERT_TAIL(&l->all, e, all);
  return e;
}

struct ledger_entry *ledger_entry_of(struct ledger *l, const char *config, const char *rule, bool inbound,
                                     const char *peer) {
  struct ledger_rule *r = rule_of(l, config, rule, inbound);
  if (!r)
    return NULL;
  bool others = strcmp(peer, LEDGER_OTHERS) == 0;
  uint32_t h = hash(l, config, rule, inbound, peer);
  if (!others) {
    for (struct ledger_entry *e = l->entries[h % LEDGER_SLOTS]; e; e = e->next)
      if (e->hash == h && e->rule == r && strcmp(e->peer, peer) == 0)
        return e;
    struct ledger_entry *e = NULL;
    if (r->peers < LEDGER_PEERS_MAX && l->entry_count < LEDGER_ENTRIES_MAX)
      e = entry_new(l, r, peer, h);
    if (e) {
      r->peers++;
      l->entry_count++;
      return e;
    }
  }
  if (!r->others)
    r->others = entry_new(l, r, LEDGER_OTHERS, hash(l, config, rule, inbound, LEDGER_OTHERS));
  return r->others;
}

void ledger_entry_dirty(struct ledger *l, struct ledger_entry *e) {
  if (!l->keeping || e->is_dirty)
    return;
  e->is_dirty = true;
  TAILQ_INSERT_TAIL(&l->dirty, e, dirty);
}

void ledger_entry_clean(struct ledger *l, struct ledger_entry *e) {
  if (e->is_dirty)
    TAILQ_REMOVE(&l->dirty, e, dirty);
  e->is_dirty = e->reason_dirty = false;
  memset(e->pending, 0, sizeof e->pending);
}

void ledger_lose(struct ledger *l, time_t now) {
  l->gaps.lost = now;
  l->gaps.lost_now++;
  l->gaps_dirty = true;
}

void ledger_note(struct ledger *l, const struct ledger_event *ev) {
  struct ledger_entry *e = ledger_entry_of(l, ev->config, ev->rule, ev->inbound, ev->peer);
  if (!e || !ledger_spans_add(&e->spans, ev->now, ev->result, 1, ev->now)) {
    ledger_lose(l, ev->now);
    return;
  }
  e->count[ev->result]++;
  if (e->pending[ev->result] != UINT32_MAX)
    e->pending[ev->result]++;
  if (!e->first)
    e->first = ev->now;
  if (e->last_of[ev->result] < ev->now)
    e->last_of[ev->result] = ev->now;
  if (ev->result != LEDGER_MTLS && ev->reason && strncmp(e->reason, ev->reason, sizeof e->reason - 1) != 0) {
    snprintf(e->reason, sizeof e->reason, "%s", ev->reason);
    e->reason_dirty = true;
  }
  ledger_entry_dirty(l, e);
}

static struct ledger_line line_of(const struct ledger_entry *e) {
  struct ledger_line line = {.config = e->rule->config,
                             .rule = e->rule->name,
                             .peer = e->peer,
                             .inbound = e->rule->inbound,
                             .first = e->first,
                             .last_plain = e->last_of[LEDGER_PLAIN],
                             .last_reason = e->reason};
  for (int i = 0; i < LEDGER_RESULTS; i++) {
    line.count[i] = e->count[i];
    line.last_of[i] = e->last_of[i];
    if (line.last < e->last_of[i])
      line.last = e->last_of[i];
  }
  return line;
}

void ledger_each(const struct ledger *l, ledger_fn fn, void *arg) {
  const struct ledger_entry *e;
  TAILQ_FOREACH(e, &l->all, all) {
    struct ledger_line line = line_of(e);
    if (!fn(arg, &line))
      return;
  }
}

void ledger_each_since(const struct ledger *l, time_t since, time_t now, ledger_fn fn, void *arg) {
  time_t from = ledger_window(since, now);
  const struct ledger_entry *e;
  TAILQ_FOREACH(e, &l->all, all) {
    struct ledger_line line = line_of(e);
    if (line.last < since)
      continue;
    memset(line.count, 0, sizeof line.count);
    ledger_spans_sum(&e->spans, from, line.count);
    for (int i = 0; i < LEDGER_RESULTS; i++)
      if (line.last_of[i] < since)
        line.count[i] = 0;
    if (!fn(arg, &line))
      return;
  }
}

void ledger_forget(struct ledger *l, time_t now) {
  time_t from = ledger_window(0, now);
  for (struct ledger_entry *e = TAILQ_FIRST(&l->all), *next; e; e = next) {
    next = TAILQ_NEXT(e, all);
    if (line_of(e).last < from)
      entry_drop(l, e);
  }
  for (unsigned i = 0; i < LEDGER_SLOTS; i++)
    for (struct ledger_rule **at = &l->rules[i], *r; (r = *at);) {
      if (r->peers || r->others) {
        at = &r->next;
        continue;
      }
      *at = r->next;
      l->rule_count--;
      rule_free(r);
    }
}

void ledger_gaps(const struct ledger *l, struct ledger_gaps *out) { *out = l->gaps; }
