/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader.c - typed values out of nodes: every key has a reader, every complaint a line and a column.
 *
 * A key that no table knows is an error: a misspelt "deny" must not be silently no deny at all.
 */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int reader_fail(struct reader *r, const struct ynode *at, const char *fmt, ...) {
  char text[512];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  snprintf(r->why, r->why_len, "%s:%u:%u: %s", r->path, at ? at->line : 1, at ? at->col : 1, text);
  return -1;
}

static const char *kind_name(const struct ynode *n) {
  return n->kind == YNODE_LIST  ? "a list"
         : n->kind == YNODE_MAP ? "a map (key: value)"
         : n->len               ? "a single value"
                                : "nothing";
}

/* Edit distance (Levenshtein), for words of up to 32 bytes. */
static unsigned distance(const char *a, const char *b) {
  unsigned row[33], la = (unsigned)strnlen(a, 32), lb = (unsigned)strnlen(b, 32);
  for (unsigned j = 0; j <= lb; j++)
    row[j] = j;
  for (unsigned i = 1; i <= la; i++) {
    unsigned diagonal = row[0];
    row[0] = i;
    for (unsigned j = 1; j <= lb; j++) {
      unsigned up = row[j], best = diagonal + (a[i - 1] != b[j - 1]);
      best = up + 1 < best ? up + 1 : best;
      best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
      diagonal = up;
      row[j] = best;
    }
  }
  return row[lb];
}

static bool knows(const struct reader_key *keys, const char *name) {
  while (keys->name && strcmp(keys->name, name) != 0)
    keys++;
  return keys->name != NULL;
}

static int fail_unknown(struct reader *r, const struct ynode *key, const char *what, const struct reader_key *keys) {
  if ((keys == policy_listen_keys && knows(policy_connect_keys, key->text)) ||
      (keys == policy_connect_keys && knows(policy_listen_keys, key->text)))
    return reader_fail(r, key, "unknown key '%.40s' in %s; it is for %s rules", key->text, what,
                       keys == policy_listen_keys ? "connect" : "listen");
  const char *nearest = keys[0].name;
  for (const struct reader_key *k = keys; k->name; k++)
    if (distance(key->text, k->name) < distance(key->text, nearest))
      nearest = k->name;
  return reader_fail(r, key, "unknown key '%.40s' in %s; the nearest known key is '%s'", key->text, what, nearest);
}

int reader_map(struct reader *r, const struct ynode *map, const char *what, const struct reader_key *keys,
               void *target, uint32_t *seen) {
  *seen = 0;
  if (map->kind != YNODE_MAP)
    return reader_fail(r, map, "expected %s as a map (key: value), found %s", what, kind_name(map));
  for (const struct ynode *v = map->first; v; v = v->next) {
    uint32_t bit = 1;
    const struct reader_key *k = keys;
    while (k->name && strcmp(k->name, v->key->text) != 0) {
      k++;
      bit <<= 1;
    }
    if (!k->name)
      return fail_unknown(r, v->key, what, keys);
    if (*seen & bit)
      return reader_fail(r, v->key, "the key '%s' stands twice in %s", k->name, what);
    *seen |= bit;
    if (k->read(r, v, k, (char *)target + k->offset) != 0)
      return -1;
  }
  return 0;
}

const char *reader_text(struct reader *r, const struct ynode *n, const char *what) {
  if (n->kind != YNODE_SCALAR) {
    reader_fail(r, n, "expected %s, found %s%s", what, kind_name(n),
                n->kind == YNODE_LIST ? " (a value with [brackets] must stand in quotes)" : "");
    return NULL;
  }
  const char *text = expand_variables(r, n);
  if (text && !*text) {
    reader_fail(r, n, "expected %s, found nothing", what);
    return NULL;
  }
  return text;
}

int reader_string(struct reader *r, const struct ynode *n, const struct reader_key *key, void *target) {
  const char *text = reader_text(r, n, "a text");
  if (!text)
    return -1;
  if (strlen(text) > 255)
    return reader_fail(r, n, "%s: longer than 255 bytes", key->name);
  *(const char **)target = pool_strndup(&r->policy->pool, text, strlen(text));
  return *(const char **)target ? 0 : reader_fail(r, n, "out of memory");
}

int reader_pick(struct reader *r, const struct ynode *n, const struct reader_key *key, void *target) {
  char expected[128] = "";
  for (const struct reader_choice *c = key->more; c->name; c++) {
    size_t have = strlen(expected);
    snprintf(expected + have, sizeof expected - have, "%s%s", !have ? "" : c[1].name ? ", " : " or ", c->name);
  }
  const char *text = reader_text(r, n, expected);
  if (!text)
    return -1;
  for (const struct reader_choice *c = key->more; c->name; c++) {
    if (strcmp(c->name, text) == 0) {
      *(int *)target = c->value;
      return 0;
    }
  }
  return reader_fail(r, n, "%s: expected %s, found '%.40s'", key->name, expected, text);
}

/* Decimal digits at *s; -1 when there are none or more than fit. */
static int64_t digits(const char **s) {
  int64_t v = 0;
  const char *from = *s;
  while (**s >= '0' && **s <= '9' && *s - from < 12)
    v = v * 10 + (*(*s)++ - '0');
  return *s == from || (**s >= '0' && **s <= '9') ? -1 : v;
}

int reader_number(struct reader *r, const struct ynode *n, const struct reader_key *key, void *target) {
  const struct reader_bounds *b = key->more;
  const char *text = reader_text(r, n, "a number");
  if (!text)
    return -1;
  const char *s = text;
  int64_t v = digits(&s);
  if (v < b->min || v > b->max || *s)
    return reader_fail(r, n, "%s: expected a number from %u to %u, found '%.40s'", key->name, b->min, b->max, text);
  *(uint32_t *)target = (uint32_t)v;
  return 0;
}

int policy_duration(const char *text, uint32_t *ms) {
  static const struct {
    const char *unit;
    int64_t ms;
  } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
  const char *s = text;
  int64_t v = digits(&s), got = v == 0 && !*s ? 0 : -1;
  for (size_t i = 0; v >= 0 && i < sizeof units / sizeof *units; i++)
    if (strcmp(s, units[i].unit) == 0)
      got = v * units[i].ms;
  if (got < 0)
    return -1;
  *ms = got > UINT32_MAX ? UINT32_MAX : (uint32_t)got;
  return 0;
}

int reader_duration(struct reader *r, const struct ynode *n, const struct reader_key *key, void *target) {
  const struct reader_bounds *b = key->more;
  uint32_t ms;
  const char *text = reader_text(r, n, "a duration such as 10s or 500ms");
  if (!text)
    return -1;
  if (policy_duration(text, &ms) != 0)
    return reader_fail(r, n, "%s: expected a duration such as 500ms, 10s, 5m or 1h, found '%.40s'", key->name, text);
  if (ms < b->min || ms > b->max)
    return reader_fail(r, n, "%s: '%.40s' is out of range (%u%s to %us)", key->name, text,
                       b->min % 1000 ? b->min : b->min / 1000, b->min % 1000 ? "ms" : "s", b->max / 1000);
  *(uint32_t *)target = ms;
  return 0;
}

int reader_spiffe_id(struct reader *r, const struct ynode *n, const struct reader_key *key, void *target) {
  const char *text = reader_text(r, n, "a SPIFFE ID");
  const char *why = NULL;
  struct spiffeid id;
  if (!text)
    return -1;
  if (spiffeid_parse(&id, text, strlen(text), 1, &why) != 0)
    return reader_fail(r, n, "%s: '%.200s' is no workload's SPIFFE ID: %s", key->name, text, why);
  *(const char **)target = pool_strndup(&r->policy->pool, text, strlen(text));
  return *(const char **)target ? 0 : reader_fail(r, n, "out of memory");
}

int reader_patterns(struct reader *r, const struct ynode *n, const struct reader_key *key, void *target) {
  struct policy_patterns *list = target;
  if (n->kind != YNODE_LIST)
    return reader_fail(r, n, "%s: expected a list of SPIFFE IDs, found %s", key->name, kind_name(n));
  if (n->count == 0)
    return reader_fail(r, n, "%s: the list is empty; it must name at least one SPIFFE ID", key->name);
  list->items = pool_alloc(&r->policy->pool, n->count * sizeof *list->items);
  if (!list->items)
    return reader_fail(r, n, "out of memory");
  for (const struct ynode *c = n->first; c; c = c->next) {
    const char *why = NULL;
    const char *text = reader_text(r, c, "a SPIFFE ID");
    if (text)
      text = pool_strndup(&r->policy->pool, text, strlen(text));
    if (!text)
      return -1;
    if (pattern_compile(&r->policy->pool, text, &list->items[list->count], &why) != 0)
      return reader_fail(r, c, "%s: '%.200s': %s", key->name, text, why);
    list->count++;
  }
  return 0;
}
