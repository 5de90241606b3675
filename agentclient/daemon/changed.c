/* SPDX-License-Identifier: Apache-2.0 */
/*
 * changed.c - compares policies rule by rule, by name, and tells the difference; and puts old ones back.
 */
#include "changed.h"
#include "reload.h"
#include "rulename.h"
#include "worker.h"
#include "../observe/audit.h"
#include "../observe/format.h"

#include <stdio.h>
#include <string.h>

bool changed_same_mode(const struct policy_rule *a, const struct policy_rule *b) {
  return a->mode == b->mode && (a->mode != RULES_CANARY || a->percent == b->percent);
}

int changed_undo(struct worker *w, struct history_entry *e) {
  char why[WIRE_TEXT_MAX];
  int rc = 0;
  for (size_t i = e->count; i-- > 0;) {
    struct config *c = e->changes[i].config;
    struct policy *before = policy_ref(e->changes[i].before);
    if (config_apply(w, c, before, why, sizeof why) == 0)
      continue;
    policy_unref(before);
    log_error(c->log, "%s: the policy of before cannot be put in force: %s", c->path, why);
    rc = -1;
  }
  return rc;
}

static const struct policy_rule *counterpart(const struct policy *p, const struct policy_rule *r) {
  for (uint32_t i = 0; i < policy_rule_count(p); i++) {
    const struct policy_rule *x = policy_rule_at(p, i);
    if (x->kind == r->kind && strcmp(x->name, r->name) == 0)
      return x;
  }
  return NULL;
}

/* "enforce", "canary 25", "" for a rule that is not there. */
static const char *mode_text(const struct policy_rule *r, char buf[32]) {
  if (!r)
    buf[0] = '\0';
  else if (r->mode == RULES_CANARY)
    snprintf(buf, 32, "canary %u", r->percent);
  else
    snprintf(buf, 32, "%s", policy_mode_name(r->mode));
  return buf;
}

struct telling {
  struct ctl *ctl;
  struct config *config;
  const char *event;
  bool persisted;
  json_t *out;
};

static void tell(const struct telling *t, const char *rule, const struct policy_rule *was,
                 const struct policy_rule *is) {
  char before[32], after[32];
  struct config *c = t->config;
  struct audit_order o = {.event = t->event,
                          .rule = rule,
                          .before = mode_text(was, before),
                          .after = mode_text(is, after),
                          .config = c->path,
                          .persisted = t->persisted,
                          .uid = t->ctl->cred.uid,
                          .pid = t->ctl->cred.pid};
  audit_order_write(c->audit, &o);
  log_warning(c->log, "%s by uid %u (pid %d): %s: %s%s%s%s%s%s", t->event, (unsigned)o.uid, (int)o.pid, c->path,
              *rule ? "rule '" : "the policy of before is in force again", rule, *rule ? "': " : "", before,
              *rule ? " -> " : "", after);
  char path[4096];
  json_t *item = json_pack("{s:s, s:s, s:s, s:s}", "config", format_clean(c->path, path, sizeof path), "rule", rule,
                           "old", before, "new", after);
  if (was && was->mode_from)
    json_object_set_new(item, "variable", json_string(was->mode_from));
  json_array_append_new(t->out, item);
}

/* No mode is another than before. */
static void tell_same(const struct telling *t, bool changed, const char *written) {
  char why[WIRE_TEXT_MAX];
  const char *name = written && *written ? rulename_find(t->config, written, why, sizeof why) : NULL;
  for (uint32_t i = 0; name && i < policy_rule_count(t->config->policy); i++) {
    const struct policy_rule *r = policy_rule_at(t->config->policy, i);
    if (strcmp(r->name, name) == 0)
      tell(t, name, r, r);
  }
  if (!name && changed)
    tell(t, "", NULL, NULL);
}

json_t *changed_report(struct ctl *c, const struct history_entry *e, const char *event, const char *written) {
  struct telling t = {.ctl = c, .event = event, .persisted = written != NULL, .out = json_array()};
  for (size_t i = 0; i < e->count; i++) {
    const struct policy *was = e->changes[i].before, *is = e->changes[i].config->policy;
    size_t told = json_array_size(t.out);
    t.config = e->changes[i].config;
    for (uint32_t r = 0; r < policy_rule_count(is); r++) {
      const struct policy_rule *now = policy_rule_at(is, r), *old = counterpart(was, now);
      if (!old || !changed_same_mode(old, now))
        tell(&t, now->name, old, now);
    }
    for (uint32_t r = 0; r < policy_rule_count(was); r++)
      if (!counterpart(is, policy_rule_at(was, r)))
        tell(&t, policy_rule_at(was, r)->name, policy_rule_at(was, r), NULL);
    if (json_array_size(t.out) == told)
      tell_same(&t, was != is, written);
  }
  return t.out;
}
