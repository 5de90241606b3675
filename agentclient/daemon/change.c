/* SPDX-License-Identifier: Apache-2.0 */
/*
 * change.c - `svidwrap mode`: from a rule's name to new policies, all prepared before the first is put in force.
 */
#include "change.h"
#include "changed.h"
#include "history.h"
#include "reload.h"
#include "rulename.h"
#include "wirecheck.h"
#include "worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct step {
  struct config *config;
  const char *rule;     /* of its policy */
  struct policy *fresh; /* NULL: it is in that mode already */
  const char *text;     /* of the file, where it is to be written; the request's */
  char *edited;
  unsigned char from[32], to[32];
};

struct order {
  const char *rule, *path;
  enum rules_mode mode;
  uint32_t percent;
  bool persist;
  const json_t *files;
  struct step *steps;
  size_t count;
};

static int read_order(struct order *o, const json_t *request, char *why, size_t why_len) {
  const json_t *percent = json_object_get(request, "percent");
  const char *mode = json_string_value(json_object_get(request, "mode"));
  o->rule = json_string_value(json_object_get(request, "rule"));
  o->path = json_string_value(json_object_get(request, "config"));
  o->persist = json_is_true(json_object_get(request, "persist"));
  o->files = json_object_get(request, "files");
  o->percent = UINT32_MAX;
  if (!o->rule || !mode || policy_mode_parse(mode, &o->mode) != 0) {
    snprintf(why, why_len, "mode: a rule and one of off, permissive, canary, enforce are needed");
    return -1;
  }
  if (percent &&
      (!json_is_integer(percent) || json_integer_value(percent) < 0 || json_integer_value(percent) > 100)) {
    snprintf(why, why_len, "mode: a percentage is a number from 0 to 100");
    return -1;
  }
  if (percent)
    o->percent = (uint32_t)json_integer_value(percent);
  return 0;
}

/* The configurations that have the rule. Files that are not ours are asked only where none of ours has it: no user is
 * to meddle with an order by a rule of the same name. */
static int find(struct order *o, const struct worker *w, char *why, size_t why_len) {
  size_t all = 0;
  struct config *c;
  LIST_FOREACH(c, &w->configs, link)
  all++;
  snprintf(why, why_len,
           o->path ? "no program that runs now has the configuration %.400s" : "no program that runs now is wrapped",
           o->path);
  o->steps = calloc(all + 1, sizeof *o->steps);
  if (!o->steps) {
    snprintf(why, why_len, "out of memory");
    return -1;
  }
  for (int pass = 0; pass < 2 && !o->count; pass++) {
    LIST_FOREACH(c, &w->configs, link) {
      if ((o->path && strcmp(o->path, c->path) != 0) || (pass == 0 && !c->trusted))
        continue;
      const char *rule = rulename_find(c, o->rule, why, why_len);
      if (rule)
        o->steps[o->count++] = (struct step){.config = c, .rule = rule};
    }
  }
  return o->count ? 0 : -1;
}

static const struct policy_rule *rule_named(const struct policy *p, const char *name) {
  for (uint32_t i = 0; i < policy_rule_count(p); i++)
    if (strcmp(policy_rule_at(p, i)->name, name) == 0)
      return policy_rule_at(p, i);
  return NULL;
}

static int prepare(const struct order *o, struct step *s, char *why, size_t why_len) {
  char cause[WIRE_TEXT_MAX];
  s->fresh = policy_with_mode(s->config->policy, s->rule, o->mode, o->percent, cause, sizeof cause);
  if (!s->fresh) {
    snprintf(why, why_len, "%.200s: %s", s->config->path, cause);
    return -1;
  }
  if (changed_same_mode(rule_named(s->config->policy, s->rule), rule_named(s->fresh, s->rule))) {
    policy_unref(s->fresh);
    s->fresh = NULL;
  }
  return 0;
}

static const char *lookup(void *arg, const char *name) {
  const struct config *c = arg;
  return wire_vars_find(c->vars, c->vars_len, name);
}

/* What the file is to hold. The text is the one that this policy came from, or nobody knows what else would change.
 */
static int edit(const struct order *o, struct step *s, char *why, size_t why_len) {
  struct config *c = s->config;
  size_t len = strlen(s->text), edited_len;
  if (!c->trusted) {
    snprintf(why, why_len, "%.300s belongs to another user, or others can write it: change it by hand", c->path);
    return -1;
  }
  if (config_key(c, s->text, len, s->from) != 0 || memcmp(s->from, c->seen, sizeof s->from) != 0) {
    snprintf(why, why_len,
             "%.300s is not what the daemon has in force: it changed this very moment, was refused (see the daemon's "
             "log), or is another file here than there; nothing was changed",
             c->path);
    return -1;
  }
  if (policy_edit_mode(c->path, s->text, len, lookup, c, s->rule, o->mode, o->percent, &s->edited, &edited_len, why,
                       why_len) != 0)
    return -1;
  if (config_key(c, s->edited, edited_len, s->to) == 0)
    return 0;
  snprintf(why, why_len, "out of memory");
  return -1;
}

/* Programs that see other variables share a file: it can be written in one way only. */
static int edit_all(struct order *o, char *why, size_t why_len) {
  for (size_t i = 0; i < o->count; i++) {
    struct step *s = &o->steps[i];
    s->text = json_string_value(json_object_get(o->files, s->config->path));
    if (!s->text || edit(o, s, why, why_len) != 0)
      return -1;
    for (size_t k = 0; k < i; k++)
      if (strcmp(o->steps[k].config->path, s->config->path) == 0 && strcmp(o->steps[k].edited, s->edited) != 0) {
        snprintf(why, why_len, "%.300s means different rules to different programs: change it by hand",
                 s->config->path);
        return -1;
      }
  }
  return 0;
}

/* The files whose text has to come along: NULL when all have. */
static json_t *wanted(const struct order *o) {
  json_t *paths = json_array();
  for (size_t i = 0; i < o->count && o->persist; i++) {
    const char *path = o->steps[i].config->path;
    bool listed = json_object_get(o->files, path) != NULL;
    for (size_t k = 0; k < i; k++)
      listed |= strcmp(o->steps[k].config->path, path) == 0;
    if (!listed)
      json_array_append_new(paths, json_string(path));
  }
  if (json_array_size(paths) > 0)
    return json_pack("{s:o}", "files_wanted", paths);
  json_decref(paths);
  return NULL;
}

static int note_files(const struct order *o, struct history_entry *e) {
  for (size_t i = 0; i < o->count && o->persist; i++) {
    const struct step *s = &o->steps[i];
    bool noted = false;
    for (size_t k = 0; k < e->file_count; k++)
      noted |= strcmp(e->files[k].path, s->config->path) == 0;
    if (!noted && history_entry_file(e, s->config->path, s->edited, s->text) != 0)
      return -1;
  }
  return 0;
}

/* All, or none. */
static struct history_entry *apply(struct order *o, struct worker *w, char *why, size_t why_len) {
  struct history_entry *e = history_entry_new(o->count);
  snprintf(why, why_len, "out of memory");
  if (!e || note_files(o, e) != 0)
    goto fail;
  for (size_t i = 0; i < o->count; i++) {
    struct step *s = &o->steps[i];
    if (!s->fresh && !o->persist)
      continue;
    struct policy *before = policy_ref(s->config->policy);
    int rc = s->fresh ? config_apply(w, s->config, s->fresh, why, why_len) : 0;
    if (rc == 0) {
      history_entry_add(e, s->config, before);
      s->fresh = NULL;
    }
    policy_unref(before);
    if (rc != 0)
      goto fail;
  }
  return e;
fail:
  if (e)
    changed_undo(w, e);
  history_entry_free(e);
  return NULL;
}

static json_t *carry_out(struct order *o, struct ctl *c, char *why, size_t why_len) {
  struct worker *w = c->worker;
  uint64_t ended = w->revoked;
  struct history_entry *e = apply(o, w, why, why_len);
  if (!e)
    return NULL;
  for (size_t i = 0; i < o->count && o->persist; i++)
    config_expect(o->steps[i].config, o->steps[i].from, o->steps[i].to);
  json_t *changes = changed_report(c, e, "mode", o->persist ? o->rule : NULL), *files = json_object();
  for (size_t i = 0; i < e->file_count; i++)
    json_object_set_new(files, e->files[i].path, json_string(e->files[i].written));
  if (e->count)
    history_push(w->history, e);
  else
    history_entry_free(e);
  return json_pack("{s:o, s:o, s:I}", "changes", changes, "files", files, "ended", (json_int_t)(w->revoked - ended));
}

json_t *change_mode(struct ctl *c, json_t *request, char *why, size_t why_len) {
  struct order o = {0};
  json_t *answer = NULL;
  bool ok = read_order(&o, request, why, why_len) == 0 && find(&o, c->worker, why, why_len) == 0;
  for (size_t i = 0; ok && i < o.count; i++)
    ok = prepare(&o, &o.steps[i], why, why_len) == 0;
  if (ok)
    answer = wanted(&o);
  if (ok && !answer && (!o.persist || edit_all(&o, why, why_len) == 0))
    answer = carry_out(&o, c, why, why_len);
  for (size_t i = 0; i < o.count; i++) {
    policy_unref(o.steps[i].fresh);
    free(o.steps[i].edited);
  }
  free(o.steps);
  return answer;
}
