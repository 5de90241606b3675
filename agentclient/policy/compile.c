/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compile.c - a policy as the table that the shim consults: an entry for each port range at each address, the
 * first that matches wins. A host name has an entry for programs that looked it up, and one for every address that
 * the daemon found for it.
 */
#include "internal.h"

#include <string.h>

static int add(struct rules_table *table, const struct rules_entry *e) {
  if (table->count >= RULES_MAX)
    return -1;
  table->entry[table->count++] = *e;
  return 0;
}

static struct rules_entry entry_of(const struct policy_item *item, const struct policy_entry *e, size_t rule) {
  const struct policy_rule *r = &item->rule;
  struct rules_entry out = {
      .kind = (uint8_t)r->kind,
      .mode = (uint8_t)r->mode,
      .prefix = e->prefix,
      .percent = (uint8_t)(r->mode == RULES_CANARY ? r->percent : 100),
      .port_lo = e->lo,
      .port_hi = e->hi,
      .rule = (uint32_t)rule,
      .deny_errno = r->deny_errno,
      .flags = r->flags | (r->staged ? RULES_STAGED : 0) | (r->sticky ? RULES_STICKY : 0),
      .host = e->host ? e->host->offset + 1 : 0,
  };
  memcpy(out.addr, e->addr, sizeof out.addr);
  return out;
}

static int add_found(struct rules_table *table, const struct rules_entry *named, const char *name,
                     const struct policy_addresses *found, size_t found_count) {
  struct rules_entry e = *named;
  e.host = 0;
  e.flags |= RULES_FOUND;
  e.prefix = 128;
  for (size_t i = 0; i < found_count; i++) {
    if (strcmp(found[i].name, name) != 0)
      continue;
    for (size_t k = 0; k < found[i].count; k++) {
      memcpy(e.addr, found[i].addr[k], sizeof e.addr);
      if (add(table, &e) != 0)
        return -1;
    }
  }
  return 0;
}

static int compile_rule(const struct policy_item *item, size_t rule, const struct policy_addresses *found,
                        size_t found_count, struct rules_table *table) {
  for (const struct policy_entry *e = item->entries; e; e = e->next) {
    struct rules_entry out = entry_of(item, e, rule);
    if (add(table, &out) != 0 || (e->host && add_found(table, &out, e->host->name, found, found_count) != 0))
      return -1;
  }
  return 0;
}

int policy_compile(const struct policy *p, const struct policy_addresses *found, size_t found_count,
                   struct rules_table *table) {
  table->count = 0;
  memset(table->names, 0, sizeof table->names);
  for (const struct policy_host *h = p->hosts; h; h = h->next)
    memcpy(table->names + h->offset, h->name, strlen(h->name) + 1);
  for (size_t i = 0; i < p->item_count; i++) {
    if (compile_rule(&p->items[i], i, found, found_count, table) != 0) {
      table->count = 0;
      return -1;
    }
  }
  for (uint32_t i = 0; p->settings.audit_required && i < table->count; i++)
    table->entry[i].flags |= RULES_AUDITED;
  return 0;
}
