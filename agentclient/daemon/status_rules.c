/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status_rules.c - configurations in the status document; see status_rules.h. Counters are the ledger's: they live
 * longer than the process where state_dir is set.
 */
#include "status_rules.h"
#include "worker.h"
#include "../observe/format.h"
#include "../observe/ledger.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const results[LEDGER_RESULTS] = {[LEDGER_MTLS] = "mtls",
                                                    [LEDGER_WOULD_DENY] = "would_deny",
                                                    [LEDGER_PLAIN] = "plaintext",
                                                    [LEDGER_DENIED] = "denied",
                                                    [LEDGER_FAILED] = "failed"};

static void set_text(json_t *o, const char *key, const char *text) {
  char clean[1024];
  json_object_set_new(o, key, json_string(format_clean(text, clean, sizeof clean)));
}

static json_t *rule_json(const struct worker *w, const struct config *c, uint32_t i, bool counted) {
  const struct policy_rule *r = policy_rule_at(c->policy, i);
  json_t *o = json_object();
  set_text(o, "name", r->name);
  set_text(o, "kind", r->kind == RULES_LISTEN ? "listen" : "connect");
  set_text(o, "mode", policy_mode_name(r->mode));
  if (r->mode == RULES_CANARY)
    json_object_set_new(o, "percent", json_integer(r->percent));
  if (r->mode_from)
    set_text(o, "mode_from", r->mode_from);
  json_object_set_new(o, "staged", json_boolean(r->staged));
  int64_t back_ms = canary_suspended(w, c, r->name);
  json_object_set_new(o, "suspended", json_boolean(back_ms > 0));
  if (back_ms)
    json_object_set_new(o, "resumes_in_ms", json_integer((json_int_t)back_ms));
  set_text(o, "policy", r->audit_only ? "audit" : "enforce");
  for (size_t k = 0; counted && k < LEDGER_RESULTS; k++)
    json_object_set_new(o, results[k], json_integer(0));
  return o;
}

/* "listen/NAME" -> rule, so that a line of the ledger finds its rule at once. */
static void index_rule(json_t *index, const char *kind, const char *name, json_t *rule) {
  char key[512];
  snprintf(key, sizeof key, "%s/%s", kind, name);
  json_object_set(index, key, rule);
}

static bool add_line(void *arg, const struct ledger_line *line) {
  json_t *index = json_object_get(arg, line->config);
  char key[512];
  snprintf(key, sizeof key, "%s/%s", line->inbound ? "listen" : "connect", line->rule);
  json_t *rule = json_object_get(index, key);
  for (size_t k = 0; rule && k < LEDGER_RESULTS; k++) {
    json_t *n = json_object_get(rule, results[k]);
    json_integer_set(n, json_integer_value(n) + (json_int_t)line->count[k]);
  }
  return true;
}

static bool used_by(const struct worker *w, const struct config *c, uid_t uid) {
  const struct session *s;
  LIST_FOREACH(s, &w->sessions, link)
  if (s->config == c && s->uid == uid)
    return true;
  return false;
}

/* What the daemon found for a host name of connect rules. */
static json_t *addresses_json(const struct config *c, const char *name) {
  static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
  json_t *list = json_array();
  for (size_t i = 0; i < c->found_count; i++) {
    for (size_t k = 0; strcmp(c->found[i].name, name) == 0 && k < c->found[i].count; k++) {
      const uint8_t *a = c->found[i].addr[k];
      bool four = memcmp(a, mapped, sizeof mapped) == 0;
      char text[INET6_ADDRSTRLEN];
      json_array_append_new(list,
                            json_string(inet_ntop(four ? AF_INET : AF_INET6, four ? a + 12 : a, text, sizeof text)));
    }
  }
  return list;
}

static json_t *hosts_json(const struct config *c) {
  json_t *hosts = json_object();
  const char *name;
  uint32_t rule;
  for (size_t i = 0; policy_host_at(c->policy, i, &name, &rule); i++)
    if (!json_object_get(hosts, name))
      json_object_set_new(hosts, name, addresses_json(c, name));
  return hosts;
}

static json_t *config_json(const struct worker *w, const struct config *c, bool counted, json_t *indices) {
  json_t *o = json_object(), *rules = json_array(), *index = json_object(), *audit = json_object();
  for (uint32_t i = 0; i < policy_rule_count(c->policy); i++) {
    json_t *rule = rule_json(w, c, i, counted);
    const struct policy_rule *r = policy_rule_at(c->policy, i);
    if (counted)
      index_rule(index, r->kind == RULES_LISTEN ? "listen" : "connect", r->name, rule);
    json_array_append_new(rules, rule);
  }
  set_text(o, "config", c->label);
  json_object_set_new(o, "trusted", json_boolean(c->trusted));
  json_object_set_new(o, "generation", json_integer(atomic_load(&c->rules->generation)));
  json_object_set_new(o, "reloads", json_integer((json_int_t)c->reloads));
  json_object_set_new(o, "reload_failures", json_integer((json_int_t)c->reload_failures));
  set_text(o, "failure", c->failure);
  json_object_set_new(audit, "required", json_boolean(policy_settings(c->policy)->audit_required));
  json_object_set_new(audit, "lines_are_lost", json_boolean(c->audit_down));
  json_object_set_new(o, "audit", audit);
  json_object_set_new(o, "rules", rules);
  json_object_set_new(o, "hosts", hosts_json(c));
  if (json_object_get(indices, c->label)) /* the same file with other variables: counted there */
    json_decref(index);
  else
    json_object_set_new(indices, c->label, index);
  return o;
}

json_t *status_configs(const struct worker *w, bool all, uid_t uid) {
  json_t *list = json_array(), *indices = json_object();
  const struct config *c;
  LIST_FOREACH(c, &w->configs, link)
  if (all || used_by(w, c, uid))
    json_array_append_new(list, config_json(w, c, all || !c->trusted, indices));
  ledger_each(w->ledger, add_line, indices);
  json_decref(indices);
  return list;
}
