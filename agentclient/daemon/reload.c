/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload.c - prepares a change of policy to the last allocation, then makes it at one point behind which nothing can
 * fail. Never leaves a table half written or an index of the old policy behind.
 */
#include "reload.h"
#include "enforce.h"
#include "canary.h"
#include "history.h"
#include "measure.h"
#include "outbound.h"
#include "worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* The table as it is to be, without seq and generation. NULL and why. */
static struct rules_table *compile(const struct policy *p, const struct policy_addresses *found, size_t count,
                                   const char *path, char *why, size_t why_len) {
  struct rules_table *t = calloc(1, sizeof *t);
  if (t && policy_compile(p, found, count, t) == 0)
    return t;
  if (t)
    snprintf(why, why_len, "%s: more than %u addresses and ports in the rules", path, RULES_MAX);
  else
    snprintf(why, why_len, "%s: out of memory", path);
  free(t);
  return NULL;
}

/* generation: of the policy; new addresses make no new one. */
static void publish(struct config *c, const struct rules_table *fresh, uint32_t generation) {
  struct rules_table *t = c->rules;
  config_rules_lock(c);
  t->count = fresh->count;
  memcpy(t->entry, fresh->entry, fresh->count * sizeof *t->entry);
  memcpy(t->names, fresh->names, sizeof t->names);
  atomic_store(&t->generation, generation ? generation : 1);
  config_rules_unlock(c);
}

/* Behind the commit point: who held indices of the old policy. */
static void rematch_connects(struct worker *w, struct config *c) {
  struct session *s;
  LIST_FOREACH(s, &w->sessions, link)
  if (s->config == c)
    outbound_policy_changed(s);
}

static void rematch(struct worker *w, struct config *c) {
  listeners_policy_changed(w, c);
  rematch_connects(w, c);
  live_policy_changed(w, c);
}

int config_apply(struct worker *w, struct config *c, struct policy *fresh, char *why, size_t why_len) {
  struct rules_table *t = compile(fresh, c->found, c->found_count, c->path, why, why_len);
  if (!t)
    return -1;
  struct policy *old = c->policy;
  c->policy = fresh;
  canary_mark(w, c, t);
  publish(c, t, atomic_load(&c->rules->generation) + 1);
  free(t);
  rematch(w, c);
  policy_unref(old);
  hostnames_look(w->hostnames);
  return 0;
}

/* -- host names -- */

static void addresses_free(struct policy_addresses *list, size_t count) {
  for (size_t i = 0; list && i < count; i++) {
    free((void *)(uintptr_t)list[i].name);
    free((void *)(uintptr_t)list[i].addr);
  }
  free(list);
}

static struct policy_addresses *addresses_copy(const struct policy_addresses *found, size_t count) {
  struct policy_addresses *copy = calloc(count + 1, sizeof *copy);
  bool ok = copy != NULL;
  for (size_t i = 0; ok && i < count; i++) {
    uint8_t(*addr)[16] = calloc(found[i].count + 1, sizeof *addr);
    copy[i].name = strdup(found[i].name);
    copy[i].addr = (const uint8_t(*)[16])addr;
    copy[i].count = found[i].count;
    ok = copy[i].name && addr;
    if (ok && found[i].count)
      memcpy(addr, found[i].addr, found[i].count * sizeof *addr);
  }
  if (!ok) {
    addresses_free(copy, count);
    return NULL;
  }
  return copy;
}

int config_set_addresses(struct worker *w, struct config *c, const struct policy_addresses *found, size_t count,
                         char *why, size_t why_len) {
  struct policy_addresses *copy = addresses_copy(found, count);
  struct rules_table *t = copy ? compile(c->policy, copy, count, c->path, why, why_len) : NULL;
  if (!t) {
    if (!copy)
      snprintf(why, why_len, "%s: out of memory", c->path);
    addresses_free(copy, count);
    return -1;
  }
  addresses_free(c->found, c->found_count);
  c->found = copy;
  c->found_count = count;
  canary_mark(w, c, t);
  publish(c, t, atomic_load(&c->rules->generation));
  free(t);
  /* The policy is the same: what lives was judged by it, and no name server's answer ends it. */
  rematch_connects(w, c);
  return 0;
}

/* -- a changed file -- */

int config_reload_failed(struct config *c, const char *why) {
  if (strcmp(why, c->failure) == 0) /* said and counted once: other files of its directory change, too */
    return -1;
  c->reload_failures++;
  snprintf(c->failure, sizeof c->failure, "%s", why);
  log_error(c->log, "the changed configuration is refused, and the old policy stays: %s", why);
  return -1;
}

/* Sessions were told these when they began; a change is for those that begin from now on. */
static bool settled(const struct config *c, const struct config_draft *d) {
  const struct policy_settings *a = policy_settings(c->policy), *b = policy_settings(d->policy);
  return strcmp(c->endpoint, d->endpoint) == 0 && a->scope == b->scope && a->io_uring == b->io_uring;
}

static void take_over(struct config *c, struct config_draft *d, bool same_start) {
  struct log *log = c->log, *audit = c->audit;
  c->log = d->log;
  c->audit = d->audit;
  d->log = log;
  d->audit = audit;
  memcpy(c->key, d->key, sizeof c->key);
  memcpy(c->seen, d->key, sizeof c->seen);
  /* Found by nobody any more: who comes now gets a configuration of its own, with the new settings. */
  if (!same_start && getrandom(c->key, sizeof c->key, 0) != (ssize_t)sizeof c->key)
    memset(c->key, 0, sizeof c->key);
}

int config_reload(struct worker *w, struct config *c, const char *text, size_t len, const struct stat *st) {
  struct config_source src = {.path = c->path,
                              .fd = -1,
                              .vars = c->vars,
                              .vars_len = c->vars_len,
                              .uid = c->uid,
                              .gid = c->gid,
                              .stderr_log = c->stderr_log};
  struct config_draft d;
  char why[WIRE_TEXT_MAX];
  if (config_known(c, &src, text, len, st)) { /* as it was before somebody broke it, perhaps */
    c->failure[0] = '\0';
    return 0;
  }
  int rc = config_draft(&src, text, len, st, NULL, &d, why, sizeof why);
  if (rc < 0)
    return config_reload_failed(c, why);
  bool same_start = settled(c, &d);
  struct policy *before = policy_ref(c->policy);
  if (c->enforced && !enforce_may(c->path, st, why, sizeof why)) {
    rc = config_reload_failed(c, why);
  } else if (c->trusted && !d.trusted) {
    snprintf(why, sizeof why, "%s: others than the daemon's user can write it now", c->path);
    rc = config_reload_failed(c, why);
  } else if (config_apply(w, c, d.policy, why, sizeof why) != 0) {
    rc = config_reload_failed(c, why);
  } else {
    d.policy = NULL;
    take_over(c, &d, same_start);
    c->failure[0] = '\0';
    c->reloads++;
    history_reloaded(w->history, c, before);
    measure_follow(w->measure, c);
    log_info(c->log, "%s: the new policy is in force (generation %u)", c->path, atomic_load(&c->rules->generation));
    if (c->enforced && !policy_settings(c->policy)->enforce_config)
      log_warning(c->log, "%s: enforce_config holds until the daemon is started again", c->path);
    if (!same_start)
      log_warning(c->log, "%s: workload_api.socket, identity.scope and io_uring hold for programs that start now",
                  c->path);
    rc = 1;
  }
  policy_unref(before);
  config_draft_free(&d);
  return rc;
}
