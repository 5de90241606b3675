/* SPDX-License-Identifier: Apache-2.0 */
/*
 * canary.c - plaintext that programs tell of, and suspended rules; see canary.h. It never lets anything through
 * itself: programs read the mark in their rules, and only where the rule says on_failure: suspend there ever is one.
 */
#include "canary.h"
#include "clock.h"
#include "outbound.h"
#include "report.h"
#include "worker.h"
#include "../observe/audit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct canary {
  LIST_ENTRY(canary) link;
  struct worker *worker;
  struct config *config; /* referenced */
  char *rule;
  int64_t until_ms;
  struct event timer, begun;
};

/* The rule of that name, if it is a canary that suspends. NULL: it is not. */
static const struct policy_rule *suspending(const struct policy *p, const char *name, uint32_t *index) {
  for (uint32_t i = 0; i < policy_rule_count(p); i++) {
    const struct policy_rule *r = policy_rule_at(p, i);
    if (r->kind == RULES_CONNECT && strcmp(r->name, name) == 0) {
      *index = i;
      return r->mode == RULES_CANARY && r->on_failure == POLICY_FAILURE_SUSPEND ? r : NULL;
    }
  }
  return NULL;
}

static struct canary *find(const struct worker *w, const struct config *c, const char *rule) {
  struct canary *k;
  LIST_FOREACH(k, &w->canaries, link)
  if (k->config == c && strcmp(k->rule, rule) == 0)
    return k;
  return NULL;
}

static void set_mark(struct rules_table *t, uint32_t rule, bool suspended) {
  for (uint32_t i = 0; i < t->count && i < RULES_MAX; i++) {
    if (t->entry[i].kind != RULES_CONNECT || t->entry[i].rule != rule)
      continue;
    if (suspended)
      t->entry[i].flags |= RULES_SUSPENDED;
    else
      t->entry[i].flags &= ~RULES_SUSPENDED;
  }
}

static void publish_mark(struct config *c, const char *name, bool suspended) {
  uint32_t rule;
  if (!suspending(c->policy, name, &rule))
    return;
  config_rules_lock(c);
  set_mark(c->rules, rule, suspended);
  config_rules_unlock(c);
}

static void tell(const struct canary *k, const char *result, const char *reason, const struct session *s,
                 const struct sockaddr *dest) {
  struct audit_event e = {.event = "canary",
                          .result = result,
                          .direction = "outbound",
                          .client_spiffe_id = "",
                          .server_spiffe_id = "",
                          .rule = k->rule,
                          .remote = dest,
                          .reason = reason,
                          .pid = s ? s->pid : 0,
                          .program = s ? s->program : ""};
  log_error(k->config->log, "canary rule \"%s\" %s: %s", k->rule, result, reason);
  audit_write(k->config->audit, &e);
}

static void canary_free(struct canary *k) {
  LIST_REMOVE(k, link);
  event_del(&k->timer);
  event_del(&k->begun);
  config_unref(k->config);
  free(k->rule);
  free(k);
}

static void over(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  struct canary *k = arg;
  publish_mark(k->config, k->rule, false);
  tell(k, "resumed", "suspend_for is over: by mTLS again", NULL, NULL);
  canary_free(k);
}

/* Others who wait for what this one failed for need not wait any longer. From the loop: whoever failed is being dealt
 * with still. */
static void begun(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  const struct canary *k = arg;
  struct session *s;
  LIST_FOREACH(s, &k->worker->sessions, link)
  if (s->config == k->config)
    outbound_policy_changed(s);
}

void canary_failed(struct session *s, const struct policy *policy, uint32_t rule, const struct sockaddr *dest,
                   const char *reason) {
  struct worker *w = s->worker;
  const struct policy_rule *was = policy_rule_at(policy, rule);
  uint32_t index;
  const struct policy_rule *r = was ? suspending(s->config->policy, was->name, &index) : NULL;
  if (!r || find(w, s->config, r->name))
    return;
  struct canary *k = calloc(1, sizeof *k);
  char *name = strdup(r->name);
  if (!k || !name) {
    log_error(s->config->log, "canary rule \"%s\": out of memory: not suspended", r->name);
    free(k);
    free(name);
    return;
  }
  k->worker = w;
  k->config = config_ref(s->config);
  k->rule = name;
  k->until_ms = clock_ms() + r->suspend_for_ms;
  LIST_INSERT_HEAD(&w->canaries, k, link);
  evtimer_assign(&k->timer, w->base, over, k);
  struct timeval tv = clock_timeval(r->suspend_for_ms);
  evtimer_add(&k->timer, &tv);
  evtimer_assign(&k->begun, w->base, begun, k);
  struct timeval now = clock_timeval(0);
  evtimer_add(&k->begun, &now);
  publish_mark(k->config, k->rule, true);
  char text[512];
  snprintf(text, sizeof text, "mTLS failed (%.300s): IN PLAINTEXT for %u s (on_failure: suspend)", reason,
           (unsigned)(r->suspend_for_ms / 1000));
  tell(k, "suspended", text, s, dest);
}

void canary_mark(struct worker *w, const struct config *c, struct rules_table *table) {
  struct canary *k, *next;
  for (k = LIST_FIRST(&w->canaries); k; k = next) {
    next = LIST_NEXT(k, link);
    uint32_t rule;
    if (k->config != c)
      continue;
    if (suspending(c->policy, k->rule, &rule)) {
      set_mark(table, rule, true);
    } else {
      tell(k, "resumed", "the rule has changed", NULL, NULL);
      canary_free(k);
    }
  }
}

int64_t canary_suspended(const struct worker *w, const struct config *c, const char *rule) {
  const struct canary *k = find(w, c, rule);
  int64_t left = k ? k->until_ms - clock_ms() : 0;
  return k && left < 1 ? 1 : left;
}

void canary_close(struct worker *w) {
  while (!LIST_EMPTY(&w->canaries))
    canary_free(LIST_FIRST(&w->canaries));
}

/* -- what programs tell of -- */

static void plain_reason(const struct wire_plain *m, const struct policy_rule *r, char *buf, size_t len) {
  switch (m->why) {
  case WIRE_PLAIN_OFF:
    snprintf(buf, len, "mode: off");
    break;
  case WIRE_PLAIN_PERCENT:
    if (r && r->mode == RULES_CANARY)
      snprintf(buf, len, "canary: not among the %u percent", r->percent);
    else
      snprintf(buf, len, "canary: not among the percent, before the mode changed");
    break;
  default:
    snprintf(buf, len, "canary: suspended after a failure");
    break;
  }
}

void canary_plain(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]) {
  (void)fds;
  struct wire_plain m;
  memcpy(&m, msg, len < sizeof m ? len : sizeof m);
  struct session *s = session_find(c->worker, &m.token, c->cred.uid);
  if (!s) {
    ctl_reply(c, WIRE_UNKNOWN_SESSION, EACCES, "no such session");
    return;
  }
  struct rules_entry e;
  const struct sockaddr *dest = (const struct sockaddr *)&m.dest;
  uint32_t rule = UINT32_MAX; /* as the rules are now; the index in the message may be of others */
  if (policy_settings(s->config->policy)->enforce_config)
    hostnames_believe(s->config, dest, m.dest_len, &m.hosts);
  if (config_match_host(s->config, RULES_CONNECT, dest, m.dest_len, &m.hosts, &e) == 1)
    rule = e.rule;
  char why[128];
  plain_reason(&m, policy_rule_at(s->config->policy, rule), why, sizeof why);
  struct handshake_result none = {.outcome = HANDSHAKE_NOT_TLS};
  struct report_connection r = {.worker = c->worker,
                                .session = s,
                                .rule = rule,
                                .local = m.local_len >= sizeof(sa_family_t) ? (struct sockaddr *)&m.local : NULL,
                                .remote = dest,
                                .plaintext = why,
                                .result = &none};
  int rc = m.about == WIRE_PLAIN_ASKED ? 0 : report_connection(&r);
  if (rule != UINT32_MAX && m.about != WIRE_PLAIN_ASKS)
    live_told(c->worker, s, &m, rule);
  if (rc == 0)
    ctl_reply(c, WIRE_OK, 0, "%s", "");
  else /* where a line is required the program waits for this; else it is out already, and lost is lost */
    ctl_reply(c, WIRE_REFUSED, ECONNREFUSED, REPORT_LOST);
}
