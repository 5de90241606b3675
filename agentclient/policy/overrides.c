/* SPDX-License-Identifier: Apache-2.0 */
/*
 * overrides.c - a rule's mode and percentage by the environment: SVIDWRAP_LISTEN_6379_MODE=permissive,
 * SVIDWRAP_CONNECT_REDIS_PERCENT=25. For moving one instance of a service at a time, where the file is the same for
 * all.
 *
 * Only what `svidwrap mode` could do, too: nobody is allowed by it whom the file does not allow. A file with
 * enforce_config: true takes no such thing from anybody. A value that is wrong, or a variable that could mean two
 * rules, is an error: what is not understood must not be taken for "as the file says".
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LEN 128 /* of a variable: the shim passes no longer ones on */

/* "SVIDWRAP_CONNECT_MY_CACHE_MODE": upper case, '_' for everything but letters and digits. */
static bool variable(const struct policy_item *item, const char *what, const char *tail, char name[NAME_MAX_LEN]) {
  int n = snprintf(name, NAME_MAX_LEN, "SVIDWRAP_%s_", item->rule.kind == RULES_LISTEN ? "LISTEN" : "CONNECT");
  size_t at = (size_t)n;
  for (const char *s = what; *s; s++) {
    bool lower = *s >= 'a' && *s <= 'z';
    if (at + strlen(tail) + 2 >= NAME_MAX_LEN)
      return false;
    name[at++] = (char)(lower ? *s - ('a' - 'A') : (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ? *s : '_');
  }
  snprintf(name + at, NAME_MAX_LEN - at, "_%s", tail);
  return true;
}

/* Is this one of the item's variables? By the name that the file gives it, or by a port that it names: alone, or the
 * first of a range. */
static bool answers_to(const struct policy_item *item, const char *name, const char *tail) {
  char own[NAME_MAX_LEN], port[8];
  if (item->named && variable(item, item->rule.name, tail, own) && strcmp(own, name) == 0)
    return true;
  for (const struct policy_entry *e = item->entries; e; e = e->next) {
    snprintf(port, sizeof port, "%u", e->lo);
    if (variable(item, port, tail, own) && strcmp(own, name) == 0)
      return true;
  }
  return false;
}

struct search {
  struct reader *r;
  struct policy_item *item;
  const char *tail;
  const char *value, *name; /* what was found */
};

static int fail(const struct search *s, const char *name, const char *fmt, const char *more, int line) {
  struct ynode at = {.line = (unsigned)s->item->rule.line, .col = s->item->col};
  char text[256];
  snprintf(text, sizeof text, fmt, more, line);
  return reader_fail(s->r, &at, "the environment variable %s %s", name, text);
}

/* Looks one variable up. A port of an earlier listen rule is that rule's; anything else that fits two is a mistake.
 */
static int look_up(struct search *s, const char *what) {
  const struct policy *p = s->r->policy;
  char name[NAME_MAX_LEN];
  if (!variable(s->item, what, s->tail, name))
    return 0;
  const char *value = s->r->lookup(s->r->arg, name);
  if (!value || !*value || (s->name && strcmp(s->name, name) == 0))
    return 0;
  for (size_t i = 0; i < p->item_count; i++) {
    const struct policy_item *other = &p->items[i];
    if (other == s->item || other->rule.kind != s->item->rule.kind || !answers_to(other, name, s->tail))
      continue;
    if (other->rule.kind == RULES_LISTEN && what[strspn(what, "0123456789")] == '\0' && other < s->item)
      return 0;
    if (other->rule.kind == RULES_CONNECT || what[strspn(what, "0123456789")] != '\0')
      return fail(s, name,
                  "could mean rule '%.80s' (line %d), too; use the name of one of them, as in "
                  "SVIDWRAP_CONNECT_NAME_MODE",
                  other->rule.name, other->rule.line);
  }
  if (s->value && strcmp(s->value, value) != 0)
    return fail(s, name, "contradicts %.120s", s->name, 0);
  s->value = value;
  s->name = pool_strndup(&s->r->policy->pool, name, strlen(name));
  return s->name ? 0 : reader_fail(s->r, NULL, "out of memory");
}

static int find_value(struct search *s) {
  char port[8];
  s->value = s->name = NULL;
  if (s->item->named && look_up(s, s->item->rule.name) != 0)
    return -1;
  for (const struct policy_entry *e = s->item->entries; e; e = e->next) {
    snprintf(port, sizeof port, "%u", e->lo);
    if (look_up(s, port) != 0)
      return -1;
  }
  return 0;
}

static int override_mode(struct search *s) {
  enum rules_mode mode;
  s->tail = "MODE";
  if (find_value(s) != 0)
    return -1;
  if (!s->value)
    return 0;
  if (policy_mode_parse(s->value, &mode) != 0)
    return fail(s, s->name, "holds '%.40s'; a mode is off, permissive, canary or enforce", s->value, 0);
  const char *wrong = policy_mode_wrong(s->item, mode, UINT32_MAX);
  if (wrong)
    return fail(s, s->name, "cannot be used: %.120s", wrong, 0);
  s->item->rule.mode = mode;
  s->item->rule.staged = mode == RULES_OFF && s->item->allow.count > 0;
  s->item->rule.mode_from = s->name;
  return 0;
}

static int override_percent(struct search *s) {
  s->tail = "PERCENT";
  if (find_value(s) != 0)
    return -1;
  if (!s->value)
    return 0;
  char *end;
  size_t digits = strspn(s->value, "0123456789");
  unsigned long v = strtoul(s->value, &end, 10);
  if (digits == 0 || digits > 3 || *end || v > 100)
    return fail(s, s->name, "holds '%.40s'; a percentage is a number from 0 to 100", s->value, 0);
  s->item->rule.percent = (uint32_t)v;
  s->item->rule.percent_from = s->name;
  return 0;
}

int reader_overrides(struct reader *r) {
  struct policy *p = r->policy;
  if (!r->lookup || r->as_written || p->settings.enforce_config)
    return 0;
  for (size_t i = 0; i < p->item_count; i++) {
    struct search s = {.r = r, .item = &p->items[i]};
    if (override_mode(&s) != 0 || (s.item->rule.kind == RULES_CONNECT && override_percent(&s) != 0))
      return -1;
  }
  return 0;
}
