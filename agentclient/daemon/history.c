/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history.c - a bounded stack of changes; see history.h. It changes no policy itself.
 */
#include "history.h"
#include "clock.h"

#include <stdlib.h>
#include <string.h>

#define SAME_CHANGE_MS 2000 /* two configurations of one file are read again one after the other */

struct history {
  TAILQ_HEAD(history_entries, history_entry) entries; /* the newest first */
  size_t count;
  int64_t pushed_ms;
};

struct history *history_new(void) {
  struct history *h = calloc(1, sizeof *h);
  if (h)
    TAILQ_INIT(&h->entries);
  return h;
}

struct history_entry *history_entry_new(size_t room) {
  struct history_entry *e = calloc(1, sizeof *e);
  if (!e)
    return NULL;
  e->changes = calloc(room ? room : 1, sizeof *e->changes);
  e->files = calloc(room ? room : 1, sizeof *e->files);
  e->at = time(NULL);
  if (e->changes && e->files)
    return e;
  history_entry_free(e);
  return NULL;
}

void history_entry_free(struct history_entry *e) {
  if (!e)
    return;
  for (size_t i = 0; i < e->count; i++) {
    config_unref(e->changes[i].config);
    policy_unref(e->changes[i].before);
  }
  for (size_t i = 0; i < e->file_count; i++) {
    free(e->files[i].path);
    free(e->files[i].written);
    free(e->files[i].before);
  }
  free(e->files);
  free(e->changes);
  free(e);
}

void history_entry_add(struct history_entry *e, struct config *c, struct policy *before) {
  e->changes[e->count++] = (struct history_change){.config = config_ref(c), .before = policy_ref(before)};
}

int history_entry_file(struct history_entry *e, const char *path, const char *written, const char *before) {
  struct history_file *f = &e->files[e->file_count++];
  *f = (struct history_file){.path = strdup(path), .written = strdup(written), .before = strdup(before)};
  return f->path && f->written && f->before ? 0 : -1;
}

static void drop(struct history *h, struct history_entry *e) {
  TAILQ_REMOVE(&h->entries, e, link);
  h->count--;
  history_entry_free(e);
}

void history_push(struct history *h, struct history_entry *e) {
  TAILQ_INSERT_HEAD(&h->entries, e, link);
  h->pushed_ms = clock_ms();
  if (++h->count > HISTORY_MAX)
    drop(h, TAILQ_LAST(&h->entries, history_entries));
}

/* Is this one more configuration of the change that was noted last? */
static bool belongs(const struct history *h, const struct history_entry *last, const struct config *c) {
  if (!last || !last->file || clock_ms() - h->pushed_ms > SAME_CHANGE_MS ||
      strcmp(last->changes[0].config->path, c->path) != 0)
    return false;
  for (size_t i = 0; i < last->count; i++)
    if (last->changes[i].config == c)
      return false;
  return true;
}

void history_reloaded(struct history *h, struct config *c, struct policy *before) {
  struct history_entry *last = h ? history_last(h) : NULL;
  if (!h)
    return;
  if (belongs(h, last, c)) {
    struct history_change *more = realloc(last->changes, (last->count + 1) * sizeof *more);
    if (more) {
      last->changes = more;
      history_entry_add(last, c, before);
    }
    return;
  }
  struct history_entry *e = history_entry_new(1);
  if (!e)
    return;
  e->file = true;
  history_entry_add(e, c, before);
  history_push(h, e);
}

struct history_entry *history_last(struct history *h) {
  return TAILQ_FIRST(&h->entries);
}

void history_pop(struct history *h) { drop(h, TAILQ_FIRST(&h->entries)); }

size_t history_count(const struct history *h) { return h->count; }

void history_free(struct history *h) {
  if (!h)
    return;
  while (!TAILQ_EMPTY(&h->entries))
    history_pop(h);
  free(h);
}
