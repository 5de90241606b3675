/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address.c - ports and destinations of rules, as the address ranges that the shim compares with.
 *
 * What cannot be read exactly is refused: a rule that covers less than its author meant would let the
 * rest through in plaintext.
 */
#include "internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define PORT_HINT "a port (6379), a range (7000-7010) or a list of them"

#define MENTIONS_MAX 512u /* the daemon looks every one of them up, again and again */

struct range {
  uint8_t addr[16];
  uint8_t prefix;
  const struct policy_host *host;
};

static int add_entry(struct reader *r, const struct ynode *n, struct policy_item *item, const struct range *at,
                     uint16_t lo, uint16_t hi) {
  if (r->policy->entry_count >= RULES_MAX)
    return reader_fail(r, n, "more than %u port ranges in this file", RULES_MAX);
  struct policy_entry *e = pool_alloc(&r->policy->pool, sizeof *e);
  if (!e)
    return reader_fail(r, n, "out of memory");
  memcpy(e->addr, at->addr, sizeof e->addr);
  e->prefix = at->prefix;
  e->host = at->host;
  e->lo = lo;
  e->hi = hi;
  e->line = n->line;
  e->col = n->col;
  *item->entries_tail = e;
  item->entries_tail = &e->next;
  r->policy->entry_count++;
  return 0;
}

/* 1 to 65535 at *s; 0 when there is none. */
static uint16_t port(const char **s) {
  unsigned v = 0, n = 0;
  for (; **s >= '0' && **s <= '9' && n < 6; n++)
    v = v * 10 + (unsigned)(*(*s)++ - '0');
  return n == 0 || v > 65535 ? 0 : (uint16_t)v;
}

static const char *skip_space(const char *s) {
  while (*s == ' ')
    s++;
  return s;
}

/* "6379", "7000-7010", "6379, 7000-7010" */
static int add_ports(struct reader *r, const struct ynode *n, struct policy_item *item, const struct range *at,
                     const char *text) {
  const char *s = text;
  do {
    s = skip_space(s);
    uint16_t lo = port(&s), hi = lo;
    s = skip_space(s);
    if (lo && *s == '-') {
      s = skip_space(s + 1);
      hi = port(&s);
      s = skip_space(s);
    }
    if (!lo || !hi || (*s && *s != ','))
      return reader_fail(r, n, "'%.60s' is not " PORT_HINT ", each from 1 to 65535", text);
    if (lo > hi)
      return reader_fail(r, n, "'%.60s': the range %u-%u runs backwards", text, lo, hi);
    if (add_entry(r, n, item, at, lo, hi) != 0)
      return -1;
  } while (*s++ == ',');
  return 0;
}

/* Appends to what logs call this rule: short, for a name. */
static int add_where(struct reader *r, const struct ynode *n, struct policy_item *item, const char *text) {
  item->where = item->where ? pool_printf(&r->policy->pool, "%.400s, %.200s", item->where, text)
                            : pool_printf(&r->policy->pool, "%.400s", text);
  return item->where ? 0 : reader_fail(r, n, "out of memory");
}

static int one_port(struct reader *r, const struct ynode *n, struct policy_item *item) {
  static const struct range any;
  const char *text = reader_text(r, n, PORT_HINT);
  if (!text || add_ports(r, n, item, &any, text) != 0)
    return -1;
  return add_where(r, n, item, text);
}

int reader_ports(struct reader *r, const struct ynode *n, struct policy_item *item) {
  if (n->kind != YNODE_LIST)
    return one_port(r, n, item);
  if (n->count == 0)
    return reader_fail(r, n, "port: the list is empty");
  for (const struct ynode *c = n->first; c; c = c->next)
    if (one_port(r, c, item) != 0)
      return -1;
  return 0;
}

/* "/LEN" behind an address of so many bits; bits where there is none. -1: malformed. */
static int prefix_length(const char *s, int bits) {
  if (!*s)
    return bits;
  int v = 0, n = 0;
  for (s++; *s >= '0' && *s <= '9' && n < 4; n++)
    v = v * 10 + (*s++ - '0');
  return n == 0 || *s || v > bits ? -1 : v;
}

/* 0.0.0.0 or ::, which a listener would call "any". */
static bool is_unspecified(const struct range *at) {
  static const uint8_t zero[16];
  return memcmp(at->addr + 12, zero, 4) == 0 && memcmp(at->addr, zero, 10) == 0 && (at->addr[10] == at->addr[11]) &&
         (at->addr[10] == 0xff || at->addr[10] == 0);
}

static int bits_beyond(const uint8_t addr[16], unsigned prefix) {
  for (unsigned i = prefix; i < 128; i++)
    if (addr[i / 8] & (0x80u >> (i % 8)))
      return 1;
  return 0;
}

/* A host name as DNS writes it: labels of letters, digits, '-' and '_', a dot at the end or not. What ends in a
 * number would be read as an address ("10.1", "0x7f.1") by whoever looks it up. */
static bool looks_like_host(const char *s) {
  static const char label_chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
  const char *last = s;
  if (strlen(s) > 253)
    return false;
  for (;;) {
    size_t n = strspn(s, label_chars);
    if (n == 0 || n > 63 || *s == '-' || s[n - 1] == '-' || (s[n] && s[n] != '.'))
      return false;
    last = s;
    s += n;
    if (!*s || !*++s)
      break;
  }
  bool hex = last[0] == '0' && (last[1] == 'x' || last[1] == 'X');
  size_t digits = hex ? 2 + strspn(last + 2, "0123456789abcdefABCDEF") : strspn(last, "0123456789");
  return last[digits] != '\0' && last[digits] != '.';
}

int address_host_name(const char *text, char lower[256]) {
  if (!looks_like_host(text))
    return -1;
  size_t len = strlen(text);
  if (text[len - 1] == '.')
    len--;
  for (size_t i = 0; i < len; i++)
    lower[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + ('a' - 'A') : text[i]);
  lower[len] = '\0';
  return 0;
}

/* The host of this name, made if it is new. NULL after reader_fail(). */
static const struct policy_host *host_named(struct reader *r, const struct ynode *n, const char *name) {
  struct policy *p = r->policy;
  char lower[256];
  if (address_host_name(name, lower) != 0) {
    reader_fail(r, n, "'%.100s' is no host name", name);
    return NULL;
  }
  size_t len = strlen(lower);
  for (const struct policy_host *h = p->hosts; h; h = h->next)
    if (strcmp(h->name, lower) == 0)
      return h;
  struct policy_host *h = pool_alloc(&p->pool, sizeof *h);
  if (!h || !(h->name = pool_strndup(&p->pool, lower, len))) {
    reader_fail(r, n, "out of memory");
    return NULL;
  }
  h->offset = p->names_len;
  if (h->offset + len + 1 > RULES_NAMES - 256) {
    reader_fail(r, n, "the host names in this file are longer than %u bytes together", RULES_NAMES - 256);
    return NULL;
  }
  p->names_len += (uint32_t)len + 1;
  *p->hosts_tail = h;
  p->hosts_tail = &h->next;
  return h;
}

/* Notes that the rule which is being read names this host. */
static int mention(struct reader *r, const struct ynode *n, const struct policy_host *h) {
  struct policy *p = r->policy;
  uint32_t rule = (uint32_t)p->item_count;
  for (const struct policy_mention *m = p->mentions; m; m = m->next)
    if (m->host == h && m->rule == rule)
      return 0;
  if (p->mention_count == MENTIONS_MAX)
    return reader_fail(r, n, "more than %u host names in the rules of this file; write addresses for some of them",
                       MENTIONS_MAX);
  struct policy_mention *m = pool_alloc(&p->pool, sizeof *m);
  if (!m)
    return reader_fail(r, n, "out of memory");
  *m = (struct policy_mention){.host = h, .rule = rule};
  *p->mentions_tail = m;
  p->mentions_tail = &m->next;
  p->mention_count++;
  return 0;
}

/* host holds an address, with its brackets and prefix. 1: it is a host name. */
static int read_range(struct reader *r, const struct ynode *n, char *host, struct range *at) {
  memset(at, 0, sizeof *at);
  if (strcmp(host, "*") == 0)
    return 0;
  if (looks_like_host(host))
    return 1;
  char text[300];
  snprintf(text, sizeof text, "%s", host);
  int bits = 32;
  uint8_t *into = at->addr + 12;
  const char *tail = strchr(host, '/');
  if (host[0] == '[') {
    char *close = strchr(host, ']');
    if (!close || (close[1] && close[1] != '/'))
      return reader_fail(r, n, "'%s': expected [IPv6] or [IPv6]/PREFIX before the port", text);
    tail = close + 1;
    *close = '\0';
    host++;
    bits = 128;
    into = at->addr;
  }
  int len = prefix_length(tail ? tail : "", bits);
  bool sized = tail && *tail;
  if (sized)
    host[tail - host] = '\0';
  if (bits == 32) {
    at->addr[10] = at->addr[11] = 0xff;
    if (strchr(host, ':'))
      return reader_fail(r, n, "'%s': an IPv6 address stands in brackets: '[fd00::1]:6379'", text);
  }
  if (inet_pton(bits == 32 ? AF_INET : AF_INET6, host, into) != 1)
    return reader_fail(r, n, "'%s' is neither a host name, an IPv4 address, an [IPv6] address, a CIDR range nor '*'",
                       text);
  if (len < 0)
    return reader_fail(r, n, "'%s': expected a prefix length from 0 to %d behind the '/'", text, bits);
  at->prefix = (uint8_t)(bits == 32 ? 96 + len : len);
  if (!sized && is_unspecified(at))
    return reader_fail(r, n, "'%s' is one address, not any; write '*:PORT' for any (or '%s/%d:PORT' if you mean it)",
                       text, text, bits);
  if (bits_beyond(at->addr, at->prefix))
    return reader_fail(r, n, "'%s': the address has bits set beyond its prefix of %d; write the network's address",
                       text, len);
  return 0;
}

static int one_destination(struct reader *r, const struct ynode *n, struct policy_item *item) {
  char host[300];
  struct range at;
  const char *text = reader_text(
      r, n, "a destination such as 'redis.example.org:6379', '10.0.0.0/8:6379', '[fd00::]/8:6379' or '*:6379'");
  if (!text)
    return -1;
  const char *colon = strrchr(text, ':');
  if (!colon || colon == text || !colon[1] || (size_t)(colon - text) >= sizeof host)
    return reader_fail(r, n, "to: '%.200s': expected NAME:PORT, ADDRESS:PORT, ADDRESS/PREFIX:PORT or '*:PORT'", text);
  snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
  int rc = read_range(r, n, host, &at);
  if (rc < 0)
    return -1;
  if (rc == 1 && (!(at.host = host_named(r, n, host)) || mention(r, n, at.host) != 0))
    return -1;
  if (add_ports(r, n, item, &at, colon + 1) != 0)
    return -1;
  return add_where(r, n, item, text);
}

int reader_destinations(struct reader *r, const struct ynode *n, struct policy_item *item) {
  if (n->kind != YNODE_LIST)
    return one_destination(r, n, item);
  if (n->count == 0)
    return reader_fail(r, n, "to: the list is empty");
  for (const struct ynode *c = n->first; c; c = c->next)
    if (one_destination(r, c, item) != 0)
      return -1;
  return 0;
}

/* "10.0.0.0/8", "10.0.0.1", "fd00::/8" or "[fd00::]/8": addresses without ports. */
static int one_network(struct reader *r, const struct ynode *n, const struct reader_key *key,
                       struct policy_network *out) {
  char host[300];
  struct range at;
  const char *text = reader_text(r, n, "an address or a network such as 10.0.0.0/8");
  if (!text)
    return -1;
  const char *slash = strchr(text, '/');
  int len = slash ? (int)(slash - text) : (int)strlen(text);
  if (len > 200 || strlen(text) > 250 || strcmp(text, "*") == 0)
    return reader_fail(r, n, "%s: '%.100s': expected an address or a network such as 10.0.0.0/8", key->name, text);
  if (text[0] != '[' && strchr(text, ':'))
    snprintf(host, sizeof host, "[%.*s]%s", len, text, slash ? slash : "");
  else
    snprintf(host, sizeof host, "%s", text);
  int rc = read_range(r, n, host, &at);
  if (rc > 0)
    return reader_fail(r, n, "%s: '%.100s': expected an address or a network such as 10.0.0.0/8, not a host name",
                       key->name, text);
  if (rc == 0) {
    memcpy(out->addr, at.addr, sizeof out->addr);
    out->prefix = at.prefix;
  }
  return rc;
}

int reader_networks(struct reader *r, const struct ynode *n, const struct reader_key *key, void *target) {
  struct policy_networks *list = target;
  if (n->kind != YNODE_LIST || n->count == 0)
    return reader_fail(r, n, "%s: expected a list of addresses and networks: [ 10.0.0.0/8, 192.0.2.7 ]", key->name);
  list->items = pool_alloc(&r->policy->pool, n->count * sizeof *list->items);
  if (!list->items)
    return reader_fail(r, n, "out of memory");
  for (const struct ynode *c = n->first; c; c = c->next)
    if (one_network(r, c, key, &list->items[list->count++]) != 0)
      return -1;
  return 0;
}

/* "10.0.0.0/8", "10.0.0.1", "[fd00::]/8" and "[fd00::1]", or without the brackets. */
static void range_text(const uint8_t addr[16], unsigned prefix, bool brackets, char *buf, size_t len) {
  char host[INET6_ADDRSTRLEN];
  bool v4 = prefix >= 96 && IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)addr);
  inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? addr + 12 : addr, host, sizeof host);
  const char *open = brackets && !v4 ? "[" : "", *close = brackets && !v4 ? "]" : "";
  if (prefix == 128)
    snprintf(buf, len, "%s%s%s", open, host, close);
  else
    snprintf(buf, len, "%s%s%s/%u", open, host, close, v4 ? prefix - 96 : prefix);
}

void address_network_text(const struct policy_network *n, char *buf, size_t len) {
  range_text(n->addr, n->prefix, false, buf, len);
}

void address_text(const struct policy_entry *e, bool listen, char *buf, size_t len) {
  char ports[16], addr[64];
  if (e->lo == e->hi)
    snprintf(ports, sizeof ports, "%u", e->lo);
  else
    snprintf(ports, sizeof ports, "%u-%u", e->lo, e->hi);
  if (listen) {
    snprintf(buf, len, "%s", ports);
  } else if (e->host) {
    snprintf(buf, len, "%s:%s", e->host->name, ports);
  } else if (e->prefix == 0) {
    snprintf(buf, len, "*:%s", ports);
  } else {
    range_text(e->addr, e->prefix, true, addr, sizeof addr);
    snprintf(buf, len, "%s:%s", addr, ports);
  }
}
