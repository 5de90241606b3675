/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rule.c - the listen: and connect: lists of a configuration.
 *
 * A rule enforces unless it says otherwise, and a rule that is not off names who is allowed. Two rules for
 * exactly the same addresses are a mistake (only the first would ever be used) and named as one.
 */
#include "internal.h"

#include "svidwrap/arena.h"

#include <errno.h>
#include <string.h>

static const struct reader_choice listen_modes[] = {
    {"off", RULES_OFF}, {"permissive", RULES_PERMISSIVE}, {"enforce", RULES_ENFORCE}, {NULL, 0}};
static const struct reader_choice connect_modes[] = {
    {"off", RULES_OFF}, {"canary", RULES_CANARY}, {"enforce", RULES_ENFORCE}, {NULL, 0}};
static const struct reader_choice policies[] = {{"enforce", 0}, {"audit", 1}, {NULL, 0}};
static const struct reader_choice truncations[] = {{"reset", 0}, {"eof", ARENA_TRUNCATION_EOF}, {NULL, 0}};
static const struct reader_choice revocations[] = {
    {"close", POLICY_REVOKE_CLOSE}, {"keep", POLICY_REVOKE_KEEP}, {NULL, 0}};
static const struct reader_choice changes[] = {
    {"close", POLICY_CHANGE_CLOSE}, {"keep", POLICY_CHANGE_KEEP}, {NULL, 0}};
static const struct reader_choice resumptions[] = {{"on", 1}, {"off", 0}, {NULL, 0}};
static const struct reader_choice stickies[] = {{"none", 0}, {"process", 1}, {NULL, 0}};
static const struct reader_choice failures[] = {
    {"error", POLICY_FAILURE_ERROR}, {"suspend", POLICY_FAILURE_SUSPEND}, {NULL, 0}};
static const struct reader_choice deny_errnos[] = {
    {"EACCES", EACCES}, {"ECONNREFUSED", ECONNREFUSED}, {"EHOSTUNREACH", EHOSTUNREACH}, {NULL, 0}};
static const struct reader_bounds percents = {0, 100};
static const struct reader_bounds detect_bounds = {1, 60000};
static const struct reader_bounds suspend_bounds = {1000, 86400000};
static const struct reader_bounds limit_bounds = {1, 1000000};

/* What a rule's map says, before it is checked as a whole. */
struct raw {
  struct policy_item *item;
  const char *name, *sni, *spiffe_id, *hint;
  struct policy_patterns allow, deny;
  struct policy_networks plaintext_from;
  struct policy_alpn alpn;
  struct policy_limits limits;
  int mode, policy, truncation, on_revoke, on_change, resumption, sticky, on_failure, deny_errno;
  uint32_t percent, detect_timeout_ms, suspend_for_ms;
};

static int read_ports(struct reader *r, const struct ynode *n, const struct reader_key *key, void *raw) {
  (void)key;
  return reader_ports(r, n, ((struct raw *)raw)->item);
}

static int read_to(struct reader *r, const struct ynode *n, const struct reader_key *key, void *raw) {
  (void)key;
  return reader_destinations(r, n, ((struct raw *)raw)->item);
}

static const struct reader_key identity_keys[] = {
    {"spiffe_id", reader_spiffe_id, offsetof(struct raw, spiffe_id), NULL},
    {"hint", reader_string, offsetof(struct raw, hint), NULL},
    {NULL, NULL, 0, NULL},
};

static int read_identity(struct reader *r, const struct ynode *n, const struct reader_key *key, void *raw) {
  struct raw *into = raw;
  uint32_t seen;
  if (reader_map(r, n, "a rule's identity", key->more, into, &seen) != 0)
    return -1;
  if (into->spiffe_id && into->hint)
    return reader_fail(r, n, "identity: name the SVID by spiffe_id or by hint, not by both");
  return 0;
}

static const struct reader_key limit_keys[] = {
    {"connections", reader_number, offsetof(struct policy_limits, connections), &limit_bounds},
    {"connections_per_peer", reader_number, offsetof(struct policy_limits, connections_per_peer), &limit_bounds},
    {"rate", reader_rate, offsetof(struct policy_limits, rate), &limit_bounds},
    {"rate_per_peer", reader_rate, offsetof(struct policy_limits, rate_per_peer), &limit_bounds},
    {"burst", reader_number, offsetof(struct policy_limits, burst), &limit_bounds},
    {"burst_per_peer", reader_number, offsetof(struct policy_limits, burst_per_peer), &limit_bounds},
    {NULL, NULL, 0, NULL},
};

static int read_limits(struct reader *r, const struct ynode *n, const struct reader_key *key, void *limits) {
  struct policy_limits *into = limits;
  uint32_t seen;
  if (reader_map(r, n, "a rule's limits", key->more, into, &seen) != 0)
    return -1;
  if ((into->burst && !into->rate) || (into->burst_per_peer && !into->rate_per_peer))
    return reader_fail(r, n,
                       "limits: burst says how many new connections may come at once within a rate: write "
                       "rate: 100/s with burst, rate_per_peer with burst_per_peer");
  if (!into->burst)
    into->burst = into->rate;
  if (!into->burst_per_peer)
    into->burst_per_peer = into->rate_per_peer;
  return 0;
}

const struct reader_key policy_listen_keys[] = {
    {"port", read_ports, 0, NULL},
    {"name", reader_string, offsetof(struct raw, name), NULL},
    {"mode", reader_pick, offsetof(struct raw, mode), listen_modes},
    {"allow", reader_patterns, offsetof(struct raw, allow), NULL},
    {"deny", reader_patterns, offsetof(struct raw, deny), NULL},
    {"policy", reader_pick, offsetof(struct raw, policy), policies},
    {"identity", read_identity, 0, identity_keys},
    {"truncation", reader_pick, offsetof(struct raw, truncation), truncations},
    {"on_revoke", reader_pick, offsetof(struct raw, on_revoke), revocations},
    {"on_policy_change", reader_pick, offsetof(struct raw, on_change), changes},
    {"resumption", reader_pick, offsetof(struct raw, resumption), resumptions},
    {"limits", read_limits, offsetof(struct raw, limits), limit_keys},
    {"detect_timeout", reader_duration, offsetof(struct raw, detect_timeout_ms), &detect_bounds},
    {"plaintext_from", reader_networks, offsetof(struct raw, plaintext_from), NULL},
    {NULL, NULL, 0, NULL},
};

const struct reader_key policy_connect_keys[] = {
    {"to", read_to, 0, NULL},
    {"name", reader_string, offsetof(struct raw, name), NULL},
    {"mode", reader_pick, offsetof(struct raw, mode), connect_modes},
    {"percent", reader_number, offsetof(struct raw, percent), &percents},
    {"sticky", reader_pick, offsetof(struct raw, sticky), stickies},
    {"on_failure", reader_pick, offsetof(struct raw, on_failure), failures},
    {"suspend_for", reader_duration, offsetof(struct raw, suspend_for_ms), &suspend_bounds},
    {"allow", reader_patterns, offsetof(struct raw, allow), NULL},
    {"deny", reader_patterns, offsetof(struct raw, deny), NULL},
    {"policy", reader_pick, offsetof(struct raw, policy), policies},
    {"deny_errno", reader_pick, offsetof(struct raw, deny_errno), deny_errnos},
    {"sni", reader_string, offsetof(struct raw, sni), NULL},
    {"alpn", reader_alpn, offsetof(struct raw, alpn), NULL},
    {"identity", read_identity, 0, identity_keys},
    {"truncation", reader_pick, offsetof(struct raw, truncation), truncations},
    {"on_revoke", reader_pick, offsetof(struct raw, on_revoke), revocations},
    {"on_policy_change", reader_pick, offsetof(struct raw, on_change), changes},
    {"resumption", reader_pick, offsetof(struct raw, resumption), resumptions},
    {"limits", read_limits, offsetof(struct raw, limits), limit_keys},
    {NULL, NULL, 0, NULL},
};

static int fill_in(struct reader *r, const struct ynode *n, struct policy_item *item, const struct raw *raw) {
  struct policy_rule *rule = &item->rule;
  rule->mode = (enum rules_mode)raw->mode;
  rule->audit_only = raw->policy != 0;
  rule->deny_errno = raw->deny_errno;
  rule->flags = (uint32_t)raw->truncation;
  rule->spiffe_id = raw->spiffe_id;
  rule->hint = raw->hint;
  rule->sni = raw->sni;
  rule->name = raw->name;
  item->named = raw->name != NULL;
  if (!rule->name)
    rule->name =
        pool_printf(&r->policy->pool, "%s %.120s", rule->kind == RULES_LISTEN ? "listen" : "connect", item->where);
  item->allow = raw->allow;
  item->deny = raw->deny;
  item->plaintext_from = raw->plaintext_from;
  rule->alpn = raw->alpn.list;
  rule->alpn_len = raw->alpn.len;
  rule->resumption = raw->resumption != 0;
  rule->limits = raw->limits;
  rule->on_revoke = (enum policy_on_revoke)raw->on_revoke;
  rule->on_change = (enum policy_on_change)raw->on_change;
  rule->staged = rule->mode == RULES_OFF && raw->allow.count > 0;
  rule->percent = raw->percent;
  rule->sticky = raw->sticky != 0;
  rule->on_failure = (enum policy_on_failure)raw->on_failure;
  rule->suspend_for_ms = raw->suspend_for_ms;
  rule->detect_timeout_ms = raw->detect_timeout_ms;
  return rule->name ? 0 : reader_fail(r, n, "out of memory");
}

static int read_rule(struct reader *r, const struct ynode *n, enum rules_kind kind) {
  bool listen = kind == RULES_LISTEN;
  struct policy_item *item = &r->policy->items[r->policy->item_count];
  struct raw raw = {.item = item,
                    .mode = RULES_ENFORCE,
                    .deny_errno = EACCES,
                    .resumption = 1,
                    .percent = 100,
                    .suspend_for_ms = 60000,
                    .detect_timeout_ms = 300};
  uint32_t seen;
  item->rule.kind = kind;
  item->rule.line = (int)n->line;
  item->col = n->col;
  item->entries_tail = &item->entries;
  if (reader_map(r, n, listen ? "a listen rule" : "a connect rule", listen ? policy_listen_keys : policy_connect_keys,
                 &raw, &seen) != 0)
    return -1;
  if (!item->entries)
    return reader_fail(r, n, "this rule does not say %s", listen ? "which port: it is for" : "where it is for (to:)");
  if (raw.mode != RULES_OFF && raw.allow.count == 0)
    return reader_fail(r, n,
                       "a rule with mode: %s needs allow:, a list of the SPIFFE IDs that may talk; nobody is "
                       "allowed by default",
                       policy_mode_name((enum rules_mode)raw.mode));
  if (fill_in(r, n, item, &raw) != 0)
    return -1;
  r->policy->item_count++;
  return 0;
}

static int read_list(struct reader *r, const struct ynode *list, enum rules_kind kind) {
  if (!list)
    return 0;
  if (list->kind != YNODE_LIST)
    return reader_fail(r, list, "%s: expected a list of rules, each beginning with '- '",
                       kind == RULES_LISTEN ? "listen" : "connect");
  for (const struct ynode *n = list->first; n; n = n->next)
    if (read_rule(r, n, kind) != 0)
      return -1;
  return 0;
}

/* Entries of one kind that cover exactly the same, found by comparing each with the earlier ones: at most
 * RULES_MAX squared over two. */
static int check_twice(struct reader *r) {
  const struct policy *p = r->policy;
  for (size_t i = 0; i < p->item_count; i++) {
    for (const struct policy_entry *e = p->items[i].entries; e; e = e->next) {
      for (size_t j = 0; j <= i; j++) {
        if (p->items[j].rule.kind != p->items[i].rule.kind)
          continue;
        for (const struct policy_entry *f = p->items[j].entries; f && f != e; f = f->next) {
          if (f->lo != e->lo || f->hi != e->hi || f->host != e->host || f->prefix != e->prefix ||
              memcmp(f->addr, e->addr, 16) != 0)
            continue;
          char text[ADDRESS_TEXT];
          address_text(e, p->items[i].rule.kind == RULES_LISTEN, text, sizeof text);
          struct ynode at = {.line = e->line, .col = e->col};
          return reader_fail(r, &at,
                             "%s is named twice, here and in line %u; the first rule that matches is used, so "
                             "this one never would be",
                             text, f->line);
        }
      }
    }
  }
  return 0;
}

/* A rule is called by its name: in logs, in counters, by `svidwrap mode`. */
static int check_names(struct reader *r) {
  const struct policy *p = r->policy;
  for (size_t i = 0; i < p->item_count; i++) {
    struct policy_item *item = &p->items[i];
    for (size_t j = 0; j < i; j++) {
      if (strcmp(p->items[j].rule.name, item->rule.name) != 0)
        continue;
      struct ynode at = {.line = (unsigned)item->rule.line, .col = item->col};
      if (item->named || p->items[j].named)
        return reader_fail(r, &at,
                           "two rules are called '%.120s', this one and that in line %d; give each a name of its own",
                           item->rule.name, p->items[j].rule.line);
      /* Long lists of ports, cut short alike. */
      item->rule.name = pool_printf(&r->policy->pool, "%s (line %d)", item->rule.name, item->rule.line);
      if (!item->rule.name)
        return reader_fail(r, &at, "out of memory");
      j = (size_t)-1; /* from the beginning, with this name */
    }
  }
  return 0;
}

int reader_rules(struct reader *r, const struct ynode *listen, const struct ynode *connect) {
  struct policy *p = r->policy;
  size_t count = (listen ? listen->count : 0u) + (connect ? connect->count : 0u);
  p->items = pool_alloc(&p->pool, (count + 1) * sizeof *p->items);
  if (!p->items)
    return reader_fail(r, NULL, "out of memory");
  if (read_list(r, listen, RULES_LISTEN) != 0 || read_list(r, connect, RULES_CONNECT) != 0)
    return -1;
  return check_twice(r) != 0 ? -1 : check_names(r);
}
