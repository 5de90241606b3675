/* SPDX-License-Identifier: Apache-2.0 */
/*
 * describe.c - a policy told back to the person who wrote it: defaults filled in, rules in the order in
 * which they are tried. For `svidwrap config check`.
 */
#include "internal.h"

#include "svidwrap/arena.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *level_name(enum policy_log_level level) {
  static const char *const names[] = {"error", "warning", "info", "debug"};
  return names[level & 3];
}

static const char *errno_text(int err) {
  return err == ECONNREFUSED ? "ECONNREFUSED" : err == EHOSTUNREACH ? "EHOSTUNREACH" : "EACCES";
}

static const char *kind_key(const struct policy_item *item) {
  return item->rule.kind == RULES_LISTEN ? "listen" : "connect";
}

static json_t *patterns_json(const struct policy_patterns *list) {
  json_t *a = json_array();
  for (size_t i = 0; i < list->count; i++)
    json_array_append_new(a, json_string(list->items[i].text));
  return a;
}

static void set(json_t *o, const char *key, const char *text) {
  json_object_set_new(o, key, text ? json_string(text) : json_null());
}

static json_t *networks_json(const struct policy_networks *list) {
  json_t *a = json_array();
  for (size_t i = 0; i < list->count; i++) {
    char text[64];
    address_network_text(&list->items[i], text, sizeof text);
    json_array_append_new(a, json_string(text));
  }
  return a;
}

static json_t *alpn_json(const struct policy_rule *rule) {
  json_t *a = json_array();
  for (size_t i = 0; i < rule->alpn_len; i += 1u + rule->alpn[i])
    json_array_append_new(a, json_stringn((const char *)rule->alpn + i + 1, rule->alpn[i]));
  return a;
}

static json_t *limits_json(const struct policy_limits *l) {
  static const struct {
    const char *key;
    size_t offset;
  } all[] = {{"connections", offsetof(struct policy_limits, connections)},
             {"connections_per_peer", offsetof(struct policy_limits, connections_per_peer)},
             {"rate", offsetof(struct policy_limits, rate)},
             {"burst", offsetof(struct policy_limits, burst)},
             {"rate_per_peer", offsetof(struct policy_limits, rate_per_peer)},
             {"burst_per_peer", offsetof(struct policy_limits, burst_per_peer)}};
  json_t *o = json_object();
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    uint32_t v;
    memcpy(&v, (const char *)l + all[i].offset, sizeof v);
    if (v)
      json_object_set_new(o, all[i].key, json_integer(v));
  }
  return o;
}

static void listen_json(json_t *o, const struct policy_item *item) {
  json_object_set_new(o, "detect_timeout_ms", json_integer(item->rule.detect_timeout_ms));
  json_object_set_new(o, "plaintext_from", networks_json(&item->plaintext_from));
}

static void connect_json(json_t *o, const struct policy_rule *rule) {
  json_object_set_new(o, "percent", json_integer(rule->percent));
  set(o, "percent_from", rule->percent_from);
  set(o, "sticky", rule->sticky ? "process" : "none");
  set(o, "on_failure", rule->on_failure == POLICY_FAILURE_SUSPEND ? "suspend" : "error");
  json_object_set_new(o, "suspend_for_ms", json_integer(rule->suspend_for_ms));
  set(o, "deny_errno", errno_text(rule->deny_errno));
  set(o, "sni", rule->sni);
  json_object_set_new(o, "alpn", alpn_json(rule));
}

static json_t *rule_json(const struct policy_item *item, size_t index) {
  json_t *o = json_object(), *covers = json_array();
  bool listen = item->rule.kind == RULES_LISTEN;
  json_object_set_new(o, "rule", json_integer((json_int_t)index));
  set(o, "kind", kind_key(item));
  set(o, "name", item->rule.name);
  json_object_set_new(o, "line", json_integer(item->rule.line));
  set(o, "mode", policy_mode_name(item->rule.mode));
  set(o, "mode_from", item->rule.mode_from);
  json_object_set_new(o, "staged", json_boolean(item->rule.staged));
  for (const struct policy_entry *e = item->entries; e; e = e->next) {
    char text[ADDRESS_TEXT];
    address_text(e, listen, text, sizeof text);
    json_array_append_new(covers, json_string(text));
  }
  json_object_set_new(o, listen ? "port" : "to", covers);
  json_object_set_new(o, "allow", patterns_json(&item->allow));
  json_object_set_new(o, "deny", patterns_json(&item->deny));
  set(o, "policy", item->rule.audit_only ? "audit" : "enforce");
  set(o, "truncation", item->rule.flags & ARENA_TRUNCATION_EOF ? "eof" : "reset");
  set(o, "on_revoke", item->rule.on_revoke == POLICY_REVOKE_CLOSE ? "close" : "keep");
  set(o, "on_policy_change", item->rule.on_change == POLICY_CHANGE_CLOSE ? "close" : "keep");
  set(o, "resumption", item->rule.resumption ? "on" : "off");
  json_object_set_new(o, "limits", limits_json(&item->rule.limits));
  set(o, "spiffe_id", item->rule.spiffe_id);
  set(o, "hint", item->rule.hint);
  if (listen)
    listen_json(o, item);
  else
    connect_json(o, &item->rule);
  return o;
}

static void add_warning(void *arg, unsigned line, unsigned col, const char *text) {
  json_array_append_new(arg, json_pack("{s:i, s:i, s:s}", "line", (int)line, "column", (int)col, "text", text));
}

static json_t *policy_json(const struct policy *p) {
  const struct policy_settings *s = &p->settings;
  json_t *o = json_object(), *rules = json_array();
  set(o, "path", p->path);
  set(o, "workload_api", s->workload_socket);
  json_object_set_new(o, "identity",
                      json_pack("{s:s?, s:s?, s:s}", "spiffe_id", s->spiffe_id, "hint", s->hint, "scope",
                                s->scope == POLICY_SCOPE_DAEMON ? "daemon" : "process"));
  json_object_set_new(o, "log",
                      json_pack("{s:s, s:s, s:s}", "to", s->log_to, "format",
                                s->log_format == POLICY_LOG_JSON ? "json" : "text", "level",
                                level_name(s->log_level)));
  json_object_set_new(o, "audit", json_pack("{s:s, s:b}", "to", s->audit_to, "required", s->audit_required));
  json_object_set_new(o, "metrics", json_pack("{s:s?}", "listen", s->metrics_listen));
  set(o, "state_dir", s->state_dir);
  json_object_set_new(o, "enforce_config", json_boolean(s->enforce_config));
  json_object_set_new(o, "handshake_timeout_ms", json_integer(s->handshake_timeout_ms));
  json_object_set_new(o, "identity_wait_ms", json_integer(s->identity_wait_ms));
  json_object_set_new(o, "daemon",
                      json_pack("{s:I, s:I}", "linger_ms", (json_int_t)s->daemon_linger_ms, "threads",
                                (json_int_t)s->handshake_threads));
  set(o, "io_uring", s->io_uring == POLICY_IO_URING_ALLOW_UNSAFE ? "allow-unsafe" : "deny");
  for (size_t i = 0; i < p->item_count; i++)
    json_array_append_new(rules, rule_json(&p->items[i], i));
  json_object_set_new(o, "rules", rules);
  json_t *warnings = json_array();
  policy_warnings(p, add_warning, warnings);
  json_object_set_new(o, "warnings", warnings);
  return o;
}

static void print_patterns(FILE *f, const char *label, const struct policy_patterns *list) {
  for (size_t i = 0; i < list->count; i++)
    fprintf(f, "  %-11s %s\n", i ? "" : label, list->items[i].text);
}

static void print_networks(FILE *f, const char *label, const struct policy_networks *list) {
  for (size_t i = 0; i < list->count; i++) {
    char text[64];
    address_network_text(&list->items[i], text, sizeof text);
    fprintf(f, "  %-11s %s\n", i ? "" : label, text);
  }
}

static void print_mode(FILE *f, const struct policy_item *item) {
  const struct policy_rule *r = &item->rule;
  fprintf(f, "  %-11s %s%s", "mode", policy_mode_name(r->mode), r->staged ? ", prepared for another one" : "");
  if (r->mode == RULES_CANARY)
    fprintf(f, ", %u%% of %s; after failures: %s", r->percent, r->sticky ? "processes" : "connections",
            r->on_failure == POLICY_FAILURE_SUSPEND ? "plaintext for " : "errors");
  if (r->mode == RULES_CANARY && r->on_failure == POLICY_FAILURE_SUSPEND)
    fprintf(f, "%u s", r->suspend_for_ms / 1000);
  if (r->mode == RULES_PERMISSIVE)
    fprintf(f, ", plaintext after %u ms of silence", r->detect_timeout_ms);
  fprintf(f, "%s\n", r->audit_only ? ", policy: audit (logs what it would have denied)" : "");
  if (r->mode_from)
    fprintf(f, "  %-11s %s\n", "by", r->mode_from);
  if (r->percent_from)
    fprintf(f, "  %-11s %s\n", "by", r->percent_from);
  if (r->mode == RULES_PERMISSIVE)
    print_networks(f, "plaintext", &item->plaintext_from);
}

static void print_limit(FILE *f, const char *label, uint32_t connections, uint32_t rate, uint32_t burst) {
  if (!connections && !rate)
    return;
  fprintf(f, "  %-11s ", label);
  if (connections)
    fprintf(f, "%u connections%s", connections, rate ? ", " : "\n");
  if (rate)
    fprintf(f, "%u new ones a second, %u at once\n", rate, burst);
}

/* What most rules leave as it is. */
static void print_rest(FILE *f, const struct policy_rule *r) {
  print_limit(f, "limits", r->limits.connections, r->limits.rate, r->limits.burst);
  print_limit(f, "each peer", r->limits.connections_per_peer, r->limits.rate_per_peer, r->limits.burst_per_peer);
  if (r->sni)
    fprintf(f, "  %-11s %s\n", "sni", r->sni);
  for (size_t i = 0; i < r->alpn_len; i += 1u + r->alpn[i])
    fprintf(f, "  %-11s %.*s\n", i ? "" : "alpn", (int)r->alpn[i], (const char *)r->alpn + i + 1);
  if (!r->resumption)
    fprintf(f, "  %-11s off\n", "resumption");
  if (r->flags & ARENA_TRUNCATION_EOF)
    fprintf(f, "  %-11s %s\n", "truncation", "eof (an end without close_notify is an ordinary end)");
  if (r->on_revoke == POLICY_REVOKE_KEEP)
    fprintf(f, "  %-11s connections stay when our identity is taken away\n", "on revoke");
  if (r->on_change == POLICY_CHANGE_KEEP)
    fprintf(f, "  %-11s connections stay when a new policy forbids them\n", "on change");
}

static void print_rule(FILE *f, const struct policy_item *item, size_t index) {
  const struct policy_rule *rule = &item->rule;
  fprintf(f, "\nrule %zu (line %d): %s\n", index, rule->line, rule->name);
  print_mode(f, item);
  fprintf(f, "  %-11s ", kind_key(item));
  for (const struct policy_entry *e = item->entries; e; e = e->next) {
    char text[ADDRESS_TEXT];
    address_text(e, rule->kind == RULES_LISTEN, text, sizeof text);
    fprintf(f, "%s%s", text, e->next ? ", " : "");
  }
  fputc('\n', f);
  print_patterns(f, "allow", &item->allow);
  print_patterns(f, "deny", &item->deny);
  if (rule->spiffe_id || rule->hint)
    fprintf(f, "  %-11s %s%s\n", "identity", rule->spiffe_id ? "" : "hint ",
            rule->spiffe_id ? rule->spiffe_id : rule->hint);
  if (rule->kind == RULES_CONNECT)
    fprintf(f, "  %-11s %s\n", "refused as", errno_text(rule->deny_errno));
  print_rest(f, rule);
}

static void print_policy(FILE *f, const struct policy *p) {
  const struct policy_settings *s = &p->settings;
  fprintf(f, "%s: %zu rule%s\n", p->path, p->item_count, p->item_count == 1 ? "" : "s");
  fprintf(f, "  %-11s %s\n", "agent",
          s->workload_socket ? s->workload_socket : "not named (set workload_api.socket)");
  fprintf(f, "  %-11s %s%s, attested as the %s\n", "identity", s->spiffe_id || !s->hint ? "" : "hint ",
          s->spiffe_id ? s->spiffe_id
          : s->hint    ? s->hint
                       : "the first that the agent serves",
          s->scope == POLICY_SCOPE_DAEMON ? "daemon" : "program");
  fprintf(f, "  %-11s %s, %s, level %s\n", "log", s->log_to, s->log_format == POLICY_LOG_JSON ? "json" : "text",
          level_name(s->log_level));
  fprintf(f, "  %-11s %s%s\n", "audit", s->audit_to,
          s->audit_required ? ", required: no line, no new connection" : "");
  if (s->metrics_listen)
    fprintf(f, "  %-11s %s\n", "metrics", s->metrics_listen);
  if (s->state_dir)
    fprintf(f, "  %-11s %s\n", "state", s->state_dir);
  if (s->enforce_config)
    fprintf(f, "  %-11s of a daemon with --config: no program brings another one\n", "enforced");
  fprintf(f, "  %-11s handshake %u ms, identity %u ms\n", "waits", s->handshake_timeout_ms, s->identity_wait_ms);
  fprintf(f, "  %-11s %s\n", "io_uring", s->io_uring == POLICY_IO_URING_ALLOW_UNSAFE ? "allow-unsafe" : "deny");
  for (size_t i = 0; i < p->item_count; i++)
    print_rule(f, &p->items[i], i);
  if (p->item_count == 0)
    fprintf(f, "\nno rules: every connection is left alone\n");
}

char *policy_describe(const struct policy *p, bool json) {
  char *out = NULL;
  if (json) {
    json_t *o = policy_json(p);
    out = json_dumps(o, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    json_decref(o);
    return out;
  }
  size_t len = 0;
  FILE *f = open_memstream(&out, &len);
  if (!f)
    return NULL;
  print_policy(f, p);
  if (fclose(f) != 0) {
    free(out);
    return NULL;
  }
  return out;
}
