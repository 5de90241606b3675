/* SPDX-License-Identifier: Apache-2.0 */
/*
 * modes.c - what staged migration asks of a policy: modes by name, a copy with another mode, addresses that stay in
 * plaintext, host names. It never widens who is allowed.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const mode_names[] = {"off", "permissive", "canary", "enforce"};

const char *policy_mode_name(enum rules_mode mode) { return mode_names[mode & 3]; }

int policy_mode_parse(const char *text, enum rules_mode *mode) {
  for (unsigned i = 0; i < sizeof mode_names / sizeof *mode_names; i++) {
    if (strcmp(text, mode_names[i]) == 0) {
      *mode = (enum rules_mode)i;
      return 0;
    }
  }
  return -1;
}

bool policy_plaintext_from(const struct policy *p, uint32_t rule, const struct sockaddr *peer, socklen_t len) {
  struct rules_entry e = {.port_hi = UINT16_MAX};
  uint8_t addr[16];
  uint16_t port;
  if (rule >= p->item_count || rules_address(peer, len, addr, &port) != 0)
    return false;
  const struct policy_networks *list = &p->items[rule].plaintext_from;
  for (size_t i = 0; i < list->count; i++) {
    memcpy(e.addr, list->items[i].addr, sizeof e.addr);
    e.prefix = list->items[i].prefix;
    if (rules_entry_matches(&e, NULL, addr, port, NULL))
      return true;
  }
  return false;
}

bool policy_host_at(const struct policy *p, size_t i, const char **name, uint32_t *rule) {
  const struct policy_mention *m = p->mentions;
  while (m && i--)
    m = m->next;
  if (!m)
    return false;
  *name = m->host->name;
  *rule = m->rule;
  return true;
}

/* The rule of this name; -1 and a message with the names that there are. */
int policy_find(const struct policy *p, const char *rule, char *why, size_t why_len) {
  for (size_t i = 0; i < p->item_count; i++)
    if (strcmp(p->items[i].rule.name, rule) == 0)
      return (int)i;
  int n = snprintf(why, why_len, "there is no rule '%.100s'; the rules are:", rule);
  for (size_t i = 0; i < p->item_count && n > 0 && (size_t)n < why_len; i++)
    n += snprintf(why + n, why_len - (size_t)n, "%s '%s'", i ? "," : "", p->items[i].rule.name);
  return -1;
}

const char *policy_mode_wrong(const struct policy_item *item, enum rules_mode mode, uint32_t percent) {
  if (mode == RULES_PERMISSIVE && item->rule.kind != RULES_LISTEN)
    return "permissive is for listen rules; a connect rule is off, canary or enforce";
  if (mode == RULES_CANARY && item->rule.kind != RULES_CONNECT)
    return "canary is for connect rules; a listen rule is off, permissive or enforce";
  if (mode != RULES_OFF && item->allow.count == 0)
    return "it has no allow list; write there who may talk, as in `allow: [ spiffe://example.org/web ]`, first";
  if (percent != UINT32_MAX && item->rule.kind != RULES_CONNECT)
    return "a percentage is for connect rules with mode canary";
  if (percent != UINT32_MAX && percent > 100)
    return "a percentage is a number from 0 to 100";
  return NULL;
}

struct policy *policy_with_mode(const struct policy *p, const char *rule, enum rules_mode mode, uint32_t percent,
                                char *why, size_t why_len) {
  int at = policy_find(p, rule, why, why_len);
  if (at < 0)
    return NULL;
  const char *wrong = policy_mode_wrong(&p->items[at], mode, percent);
  if (wrong) {
    snprintf(why, why_len, "rule '%s': %s", rule, wrong);
    return NULL;
  }
  struct policy *q = malloc(sizeof *q);
  snprintf(why, why_len, "out of memory");
  if (!q)
    return NULL;
  const size_t rest = offsetof(struct policy, base); /* others may be counting references to p */
  memcpy((char *)q + rest, (const char *)p + rest, sizeof *q - rest);
  atomic_init(&q->refs, 1);
  q->pool = (struct pool){NULL};
  q->base = policy_ref(p->base ? p->base : (struct policy *)(uintptr_t)p);
  q->items = pool_alloc(&q->pool, p->item_count * sizeof *q->items);
  if (!q->items) {
    policy_unref(q);
    return NULL;
  }
  memcpy(q->items, p->items, p->item_count * sizeof *q->items);
  struct policy_rule *changed = &q->items[at].rule;
  changed->mode = mode;
  changed->mode_from = NULL;
  changed->staged = mode == RULES_OFF && q->items[at].allow.count > 0;
  if (percent != UINT32_MAX) {
    changed->percent = percent;
    changed->percent_from = NULL;
  }
  if (why_len)
    *why = '\0';
  return q;
}
