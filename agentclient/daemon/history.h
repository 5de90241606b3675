/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history.h - what the last changes of policy were, so that they can be undone: one entry for an order of `svidwrap
 * mode`, one for a changed file, however many configurations it concerned. The newest HISTORY_MAX are kept, and with
 * them their configurations: so a mode that was set holds for the next program, too.
 */
#ifndef DAEMON_HISTORY_H
#define DAEMON_HISTORY_H

#include "config.h"

#include <time.h>

#define HISTORY_MAX 16

struct history_change {
  struct config *config; /* referenced */
  struct policy *before; /* referenced */
};

/* A file that was written with an order: the text that was written, and the one before. */
struct history_file {
  char *path, *written, *before;
};

struct history_entry {
  TAILQ_ENTRY(history_entry) link;
  bool file; /* a file had changed; else an order */
  time_t at;
  size_t count;
  struct history_change *changes;
  size_t file_count;
  struct history_file *files;
};

struct history;

struct history *history_new(void);
void history_free(struct history *h);

/* An empty entry with room for so many changes (and files), not in the history yet. NULL: out of memory. */
struct history_entry *history_entry_new(size_t room);
void history_entry_free(struct history_entry *e);
void history_entry_add(struct history_entry *e, struct config *c, struct policy *before);
/* 0, or -1: out of memory. */
int history_entry_file(struct history_entry *e, const char *path, const char *written, const char *before);
void history_push(struct history *h, struct history_entry *e); /* takes it over */

/* A file changed, and c has its policy now. Configurations of one file are one change. */
void history_reloaded(struct history *h, struct config *c, struct policy *before);

struct history_entry *history_last(struct history *h); /* NULL: none */
void history_pop(struct history *h);
size_t history_count(const struct history *h);

#endif
