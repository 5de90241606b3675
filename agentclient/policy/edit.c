/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edit.c - another mode for one rule in the text of a configuration, for `svidwrap mode --persist`.
 *
 * Comments, order, quotes and everything else stay byte for byte: the parser's marks say where a value stands, and
 * nothing but it is replaced (or a key is put in). The result is read again, and is given out only where it means the
 * same policy with that mode, and nothing else.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CANNOT "this file is written in a way that is not to be changed by a machine; write there yourself: "

struct piece {
  size_t start, end; /* what goes */
  char with[160];    /* what comes in its place */
};

static char *splice(const char *text, size_t len, const struct piece *p, size_t *out_len) {
  size_t n = strlen(p->with);
  char *out = malloc(len + n + 1);
  if (!out)
    return NULL;
  memcpy(out, text, p->start);
  memcpy(out + p->start, p->with, n);
  memcpy(out + p->start + n, text + p->end, len - p->end);
  *out_len = len - (p->end - p->start) + n;
  out[*out_len] = '\0';
  return out;
}

static const struct ynode *child(const struct ynode *map, const char *key) {
  const struct ynode *v = map && map->kind == YNODE_MAP ? map->first : NULL;
  while (v && strcmp(v->key->text, key) != 0)
    v = v->next;
  return v;
}

/* The map of a rule, by its place in the policy: listen rules come first there. */
static const struct ynode *rule_node(const struct ynode *root, const struct policy *p, size_t rule) {
  enum rules_kind kind = p->items[rule].rule.kind;
  const struct ynode *list = child(root, kind == RULES_LISTEN ? "listen" : "connect");
  const struct ynode *n = list ? list->first : NULL;
  for (size_t i = 0; i < rule && n; i++)
    if (p->items[i].rule.kind == kind)
      n = n->next;
  return n;
}

/* How lines end in this text. */
static const char *line_end(const char *text, size_t len) {
  const char *lf = memchr(text, '\n', len);
  return lf && lf > text && lf[-1] == '\r' ? "\r\n" : !lf && memchr(text, '\r', len) ? "\r" : "\n";
}

static bool one_line(const char *text, const struct ynode *n) {
  return !memchr(text + n->start, '\n', n->end - n->start) && !memchr(text + n->start, '\r', n->end - n->start);
}

/* A value takes another's place, in its quotes if it had some. */
static int replace(const char *text, const struct ynode *value, const char *with, struct piece *p) {
  char quote[2] = {text[value->start] == '\'' || text[value->start] == '"' ? text[value->start] : '\0', '\0'};
  if (value->kind != YNODE_SCALAR || value->end <= value->start || !one_line(text, value))
    return -1;
  p->start = value->start;
  p->end = value->end;
  snprintf(p->with, sizeof p->with, "%s%s%s", quote, with, quote);
  return 0;
}

/* A key that is not there is put in behind another one: on a line of its own in a block, behind a comma in { }. */
static int insert(const char *text, size_t len, const struct ynode *map, const struct ynode *after, const char *key,
                  const char *with, struct piece *p) {
  bool flow = text[map->start] == '{';
  if (flow) {
    const char *quote = map->first->key->plain ? "" : "\"";
    p->start = p->end = after->end;
    snprintf(p->with, sizeof p->with, ", %s%s%s: %s%s%s", quote, key, quote, quote, with, quote);
    return 0;
  }
  size_t indent = map->first->key->col - 1;
  if (indent > 100)
    return -1;
  if (after->kind != YNODE_SCALAR || !one_line(text, after)) { /* where such a value ends is hard to say: in front */
    p->start = p->end = map->first->key->start;
    snprintf(p->with, sizeof p->with, "%s: %s%s%*s", key, with, line_end(text, len), (int)indent, "");
    return 0;
  }
  size_t at = after->end;
  while (at < len && text[at] != '\n' && text[at] != '\r')
    at++;
  p->start = p->end = at;
  snprintf(p->with, sizeof p->with, "%s%*s%s: %s", line_end(text, len), (int)indent, "", key, with);
  return 0;
}

/* One key of one rule. NULL: it cannot be done here. */
static char *set_key(const char *text, size_t len, const struct policy *p, size_t rule, const char *key,
                     const char *with, size_t *out_len) {
  struct pool nodes = {NULL};
  struct yaml_error err;
  struct ynode *root;
  struct piece piece;
  char *out = NULL;
  if (yaml_read(&nodes, text, len, &root, &err) == 0) {
    const struct ynode *map = rule_node(root, p, rule), *old = child(map, key), *after = child(map, "mode");
    if (map && map->kind == YNODE_MAP && map->first) {
      int rc = old ? replace(text, old, with, &piece)
                   : insert(text, len, map, after ? after : map->first, key, with, &piece);
      out = rc == 0 ? splice(text, len, &piece, out_len) : NULL;
    }
  }
  pool_free(&nodes);
  return out;
}

/* Is this text the policy that was meant? */
static bool means(const char *path, const char *text, size_t len, policy_lookup lookup, void *arg,
                  const struct policy *want) {
  char why[512];
  struct policy *got = policy_parse_as_written(path, text, len, lookup, arg, why, sizeof why);
  bool same = got && got->item_count == want->item_count;
  for (size_t i = 0; same && i < want->item_count; i++) {
    const struct policy_rule *a = &got->items[i].rule, *b = &want->items[i].rule;
    same = a->kind == b->kind && a->mode == b->mode && a->percent == b->percent && strcmp(a->name, b->name) == 0;
  }
  policy_unref(got);
  return same;
}

static int edit(const char *text, size_t len, const struct policy *p, size_t rule, const char *mode, uint32_t percent,
                char **out, size_t *out_len) {
  *out = set_key(text, len, p, rule, "mode", mode, out_len);
  if (*out && percent != UINT32_MAX) {
    char number[16];
    size_t first_len = *out_len;
    snprintf(number, sizeof number, "%u", percent);
    char *first = *out;
    *out = set_key(first, first_len, p, rule, "percent", number, out_len);
    free(first);
  }
  return *out ? 0 : -1;
}

int policy_edit_mode(const char *path, const char *text, size_t len, policy_lookup lookup, void *arg,
                     const char *rule, enum rules_mode mode, uint32_t percent, char **out, size_t *out_len, char *why,
                     size_t why_len) {
  int rc = -1;
  *out = NULL;
  struct policy *p = policy_parse_as_written(path, text, len, lookup, arg, why, why_len);
  struct policy *want = p ? policy_with_mode(p, rule, mode, percent, why, why_len) : NULL;
  int at = want ? policy_find(p, rule, why, why_len) : -1;
  if (at >= 0) {
    rc = edit(text, len, p, (size_t)at, policy_mode_name(mode), percent, out, out_len);
    if (rc == 0 && !means(path, *out, *out_len, lookup, arg, want))
      rc = -1;
    if (rc != 0) {
      snprintf(why, why_len, "%s:%d:%u: " CANNOT "mode: %s", path, p->items[at].rule.line, p->items[at].col,
               policy_mode_name(mode));
      free(*out);
      *out = NULL;
    }
  }
  policy_unref(want);
  policy_unref(p);
  return rc;
}
