/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rulename.c - finds a rule by name, else in the compiled table as the shim does. A port that several rules cover is
 * nobody's.
 */
#include "rulename.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool port_of(const char *text, uint16_t *port) {
  char *end;
  if (!isdigit((unsigned char)*text))
    return false;
  unsigned long n = strtoul(text, &end, 10);
  *port = (uint16_t)n;
  return !*end && n >= 1 && n <= 65535;
}

static const char *name_at(const struct config *c, uint32_t rule) {
  const struct policy_rule *r = policy_rule_at(c->policy, rule);
  return r ? r->name : NULL;
}

static const char *by_port(const struct config *c, uint16_t port, char *why, size_t why_len) {
  const char *found = NULL;
  for (uint32_t i = 0; i < c->rules->count; i++) {
    const struct rules_entry *e = &c->rules->entry[i];
    if (e->kind != RULES_LISTEN || port < e->port_lo || port > e->port_hi)
      continue;
    const char *name = name_at(c, e->rule);
    if (found && name && strcmp(found, name) != 0) {
      snprintf(why, why_len, "several rules cover port %u: '%.80s', '%.80s'; say which by its name", port, found,
               name);
      return NULL;
    }
    found = name;
  }
  if (!found)
    snprintf(why, why_len, "no listen rule covers port %u", port);
  return found;
}

static const char *by_destination(const struct config *c, const char *host, uint16_t port, char *why,
                                  size_t why_len) {
  struct rules_hosts hosts = {0};
  struct rules_entry e;
  uint8_t addr[16] = {[10] = 0xff, [11] = 0xff};
  if (inet_pton(AF_INET, host, addr + 12) != 1 && inet_pton(AF_INET6, host, addr) != 1) {
    /* By a name alone: an address that no rule can have. */
    memset(addr, 0, sizeof addr);
    addr[0] = 0x01; /* 100::/64 is discarded (RFC 6666) */
    hosts.count = 1;
    for (size_t i = 0; i < sizeof hosts.name[0] - 1 && host[i]; i++)
      hosts.name[0][i] = (char)tolower((unsigned char)host[i]);
  }
  if (rules_match_host(c->rules, RULES_CONNECT, addr, port, &hosts, &e) == 1 && (!hosts.count || e.host))
    return name_at(c, e.rule);
  snprintf(why, why_len, "no connect rule covers %.200s port %u", host, port);
  return NULL;
}

const char *rulename_find(const struct config *c, const char *text, char *why, size_t why_len) {
  char host[256];
  uint16_t port;
  for (uint32_t i = 0; i < policy_rule_count(c->policy); i++)
    if (strcmp(name_at(c, i), text) == 0)
      return name_at(c, i);
  if (port_of(text, &port))
    return by_port(c, port, why, why_len);
  const char *colon = strrchr(text, ':');
  if (colon && colon > text && (size_t)(colon - text) < sizeof host && port_of(colon + 1, &port)) {
    bool bracket = text[0] == '[' && colon[-1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(colon - text) - 2 * bracket, text + bracket);
    return by_destination(c, host, port, why, why_len);
  }
  int n = snprintf(why, why_len, "there is no rule '%.100s'; the rules are:", text);
  for (uint32_t i = 0; i < policy_rule_count(c->policy) && n > 0 && (size_t)n < why_len; i++)
    n += snprintf(why + n, why_len - (size_t)n, "%s '%s'", i ? "," : "", name_at(c, i));
  return NULL;
}
