/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rollback.c - `svidwrap rollback`: the last change is undone, whether an order made it or a file; once more, and it
 * is the one before. A rollback is no change itself: it cannot be undone.
 */
#include "change.h"
#include "changed.h"
#include "worker.h"

#include <stdio.h>
#include <string.h>

/* What is in force now, for the way back and for telling the difference. */
static struct history_entry *present(const struct history_entry *e) {
  struct history_entry *now = history_entry_new(e->count);
  for (size_t i = 0; now && i < e->count; i++)
    history_entry_add(now, e->changes[i].config, e->changes[i].config->policy);
  return now;
}

/* Does the file still hold what the order wrote there, as far as we know? */
static bool as_written(const struct history_entry *e, const struct history_file *f) {
  unsigned char key[32];
  for (size_t i = 0; i < e->count; i++) {
    const struct config *c = e->changes[i].config;
    if (strcmp(c->path, f->path) == 0 &&
        (config_key(c, f->written, strlen(f->written), key) != 0 || memcmp(key, c->seen, sizeof key) != 0))
      return false;
  }
  return true;
}

static void expect(const struct history_entry *e, const struct history_file *f) {
  unsigned char from[32], to[32];
  for (size_t i = 0; i < e->count; i++) {
    struct config *c = e->changes[i].config;
    if (strcmp(c->path, f->path) == 0 && config_key(c, f->written, strlen(f->written), from) == 0 &&
        config_key(c, f->before, strlen(f->before), to) == 0)
      config_expect(c, from, to);
  }
}

static json_t *files(const struct history_entry *e, json_t *left) {
  json_t *out = json_object();
  for (size_t i = 0; i < e->file_count; i++) {
    const struct history_file *f = &e->files[i];
    if (as_written(e, f)) {
      expect(e, f);
      json_object_set_new(out, f->path, json_pack("{s:s, s:s}", "written", f->written, "before", f->before));
    } else {
      json_array_append_new(left, json_string(f->path));
    }
  }
  /* A file that changed by itself says what it says. */
  for (size_t i = 0; i < e->count && e->file; i++)
    if (i == 0 || strcmp(e->changes[i].config->path, e->changes[i - 1].config->path) != 0)
      json_array_append_new(left, json_string(e->changes[i].config->path));
  return out;
}

json_t *change_rollback(struct ctl *c, json_t *request, char *why, size_t why_len) {
  (void)request;
  struct worker *w = c->worker;
  struct history_entry *e = history_last(w->history);
  if (!e) {
    snprintf(why, why_len,
             "there is nothing to undo: no policy has changed since this daemon began, or all of it is "
             "undone already");
    return NULL;
  }
  uint64_t ended = w->revoked;
  struct history_entry *now = present(e);
  if (!now || changed_undo(w, e) != 0) {
    if (now)
      changed_undo(w, now);
    history_entry_free(now);
    snprintf(why, why_len, "the daemon is out of memory: nothing was undone");
    return NULL;
  }
  json_t *left = json_array(), *written = files(e, left);
  json_t *answer = json_pack(
      "{s:s, s:I, s:o, s:o, s:o}", "undone", e->file ? "file" : "order", "at", (json_int_t)e->at, "changes",
      changed_report(c, now, "rollback", e->file_count > 0 ? "" : NULL), "files", written, "files_left", left);
  history_entry_free(now);
  history_pop(w->history);
  json_object_set_new(answer, "ended", json_integer((json_int_t)(w->revoked - ended)));
  json_object_set_new(answer, "left", json_integer((json_int_t)history_count(w->history)));
  return answer;
}
