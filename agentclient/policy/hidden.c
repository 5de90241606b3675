/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hidden.c - rules that can never match, because earlier ones cover all that they name: one alone or several
 * together. For `svidwrap config check`: such a file is valid, and hardly what its author meant.
 *
 * Ports are cut where an earlier range begins or ends; within such a cut the addresses are halved until an earlier
 * block covers a half, or none lies in it. The work is bounded: a file with thousands of overlapping ranges gets a
 * warning that this was not looked at to the end.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORK_MAX 20000000u /* entries looked at: a fraction of a second */
#define HIDERS   8         /* rules named in a warning */

struct hider {
  const struct policy_entry *entry;
  size_t rule;
};

struct search {
  const struct policy *p;
  struct hider *earlier; /* entries of earlier rules that touch the one in question */
  size_t earlier_count;
  struct hider *room; /* for the recursion: a list a level, each at most as long as the one above */
  uint64_t work;
  size_t hiders[HIDERS]; /* rules */
  size_t hider_count;
  bool more_hiders;
};

static bool prefix_equal(const uint8_t a[16], const uint8_t b[16], unsigned prefix) {
  unsigned whole = prefix / 8, rest = prefix % 8;
  return memcmp(a, b, whole) == 0 && (!rest || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0);
}

static void remember(struct search *s, size_t rule) {
  for (size_t i = 0; i < s->hider_count; i++)
    if (s->hiders[i] == rule)
      return;
  if (s->hider_count < HIDERS)
    s->hiders[s->hider_count++] = rule;
  else
    s->more_hiders = true;
}

/* Is addr/prefix covered by these blocks together? Each of them lies in it or holds it. */
static bool covered(struct search *s, const uint8_t addr[16], unsigned prefix, const struct hider *list, size_t count,
                    struct hider *room) {
  s->work += count;
  for (size_t i = 0; i < count; i++) {
    if (list[i].entry->prefix <= prefix) {
      remember(s, list[i].rule);
      return true;
    }
  }
  if (count < 2 || prefix == 128 || s->work > WORK_MAX) /* one smaller block never covers all of a larger one */
    return false;
  for (int half = 0; half < 2; half++) {
    uint8_t sub[16];
    size_t n = 0;
    memcpy(sub, addr, 16);
    if (half)
      sub[prefix / 8] |= (uint8_t)(0x80u >> (prefix % 8));
    for (size_t i = 0; i < count; i++)
      if (prefix_equal(list[i].entry->addr, sub, prefix + 1))
        room[n++] = list[i];
    if (!covered(s, sub, prefix + 1, room, n, room + n))
      return false;
  }
  return true;
}

/* Does an earlier entry say anything about what e covers? By name only where both mean the same name, or the earlier
 * one means every address: what a name leads to is not known here. */
static bool touches(const struct policy_entry *f, const struct policy_entry *e) {
  if (f->hi < e->lo || f->lo > e->hi)
    return false;
  if (f->host || e->host)
    return f->host == e->host || (!f->host && f->prefix == 0);
  return prefix_equal(f->addr, e->addr, f->prefix < e->prefix ? f->prefix : e->prefix);
}

static bool holds_all_of(const struct policy_entry *f, const struct policy_entry *e) {
  return e->host ? true : f->prefix <= e->prefix; /* of what touches it */
}

static bool port_hidden(struct search *s, const struct policy_entry *e, uint32_t port, uint32_t *next) {
  size_t n = 0;
  *next = (uint32_t)e->hi + 1;
  s->work += s->earlier_count;
  for (size_t i = 0; i < s->earlier_count; i++) { /* how far the situation at this port goes */
    const struct policy_entry *f = s->earlier[i].entry;
    if (f->lo > port && f->lo < *next)
      *next = f->lo;
    if (f->lo <= port && f->hi >= port) {
      if ((uint32_t)f->hi + 1 < *next)
        *next = (uint32_t)f->hi + 1;
      s->room[n++] = s->earlier[i];
    }
  }
  for (size_t i = 0; i < n; i++) {
    if (holds_all_of(s->room[i].entry, e)) {
      remember(s, s->room[i].rule);
      return true;
    }
  }
  return !e->host && covered(s, e->addr, e->prefix, s->room, n, s->room + n);
}

static bool entry_hidden(struct search *s, const struct policy_entry *e, size_t rule) {
  const struct policy *p = s->p;
  s->earlier_count = 0;
  for (size_t i = 0; i < rule; i++) {
    if (p->items[i].rule.kind != p->items[rule].rule.kind)
      continue;
    for (const struct policy_entry *f = p->items[i].entries; f; f = f->next) {
      s->work++;
      if (touches(f, e))
        s->earlier[s->earlier_count++] = (struct hider){f, i};
    }
  }
  for (uint32_t port = e->lo, next; port <= e->hi; port = next)
    if (s->work > WORK_MAX || !port_hidden(s, e, port, &next))
      return false;
  return true;
}

static void say_hidden(const struct search *s, const char *what, unsigned line, unsigned col, policy_warning say,
                       void *arg) {
  const struct policy *p = s->p;
  char text[1024];
  int n = snprintf(text, sizeof text, "%.200s never matches: ", what);
  for (size_t i = 0; i < s->hider_count && n < 900; i++) {
    const struct policy_rule *r = &p->items[s->hiders[i]].rule;
    n += snprintf(text + n, sizeof text - (size_t)n, "%srule '%.60s' (line %d)", i ? ", " : "", r->name, r->line);
  }
  snprintf(text + n, sizeof text - (size_t)n,
           "%s %s all of it; the first rule that matches is used, so put the narrower one first",
           s->more_hiders ? " and others" : "", s->hider_count > 1 || s->more_hiders ? "together hide" : "hides");
  say(arg, line, col, text);
}

/* One warning for the rule when all of it is hidden, else one for each part that is. */
static void look_at(struct search *s, size_t rule, policy_warning say, void *arg) {
  const struct policy_item *item = &s->p->items[rule];
  size_t hidden = 0, entries = 0;
  s->hider_count = 0;
  s->more_hiders = false;
  for (const struct policy_entry *e = item->entries; e; e = e->next, entries++)
    hidden += entry_hidden(s, e, rule);
  if (hidden == entries) {
    char what[300];
    snprintf(what, sizeof what, "rule '%.120s'", item->rule.name);
    say_hidden(s, what, (unsigned)item->rule.line, item->col, say, arg);
    return;
  }
  for (const struct policy_entry *e = hidden ? item->entries : NULL; e; e = e->next) {
    char text[ADDRESS_TEXT], what[ADDRESS_TEXT + 200];
    s->hider_count = 0;
    s->more_hiders = false;
    if (!entry_hidden(s, e, rule))
      continue;
    address_text(e, item->rule.kind == RULES_LISTEN, text, sizeof text);
    snprintf(what, sizeof what, "%.150s of rule '%.100s'", text, item->rule.name);
    say_hidden(s, what, e->line, e->col, say, arg);
  }
}

int policy_warnings(const struct policy *p, policy_warning say, void *arg) {
  struct search s = {.p = p};
  size_t n = p->entry_count + 1;
  s.earlier = malloc(n * sizeof *s.earlier);
  /* A list shrinks or stays as it is halved; it stays for at most the 128 bits of an address. */
  s.room = malloc(n * 130 * sizeof *s.room);
  int rc = s.earlier && s.room ? 0 : -1;
  for (size_t i = 0; rc == 0 && i < p->item_count && s.work <= WORK_MAX; i++)
    look_at(&s, i, say, arg);
  if (s.work > WORK_MAX)
    say(arg, 1, 1, "too many overlapping ranges: not all rules were looked at for ones that can never match");
  free(s.room);
  free(s.earlier);
  return rc;
}
