/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_internal.h - how the ledger keeps its entries: for ledger.c, ledger_time.c and ledger_store.c.
 */
#ifndef OBSERVE_LEDGER_INTERNAL_H
#define OBSERVE_LEDGER_INTERNAL_H

#include "ledger.h"

#include <sys/queue.h>

#define LEDGER_MINUTE 60
#define LEDGER_HOUR   3600
#define LEDGER_DAY    86400

/* Counts of a stretch of time: a minute, an hour or a day (UTC). */
struct ledger_span {
  int64_t start;
  uint32_t width; /* seconds */
  uint32_t count[LEDGER_RESULTS];
};

/* In order of their start, without overlap. */
struct ledger_spans {
  struct ledger_span *at;
  uint32_t count, room;
};
/* The most spans that an entry has: minutes of two hours, hours of two days, days. */
#define LEDGER_SPANS_MAX (120 + 48 + LEDGER_DAYS + 1)

void ledger_spans_free(struct ledger_spans *s);
/* Counts n of a result at this time. false: out of memory. */
bool ledger_spans_add(struct ledger_spans *s, int64_t when, enum ledger_result result, uint32_t n, int64_t now);
/* Adds a span that was kept. false: out of memory, or no such span can be. */
bool ledger_spans_restore(struct ledger_spans *s, const struct ledger_span *span);
void ledger_spans_sum(const struct ledger_spans *s, int64_t from, uint64_t count[LEDGER_RESULTS]);

struct ledger_rule {
  struct ledger_rule *next; /* of the same hash */
  uint32_t hash;
  char *config, *name;
  bool inbound;
  unsigned peers;
  struct ledger_entry *others;
};

struct ledger_entry {
  struct ledger_entry *next; /* of the same hash */
  TAILQ_ENTRY(ledger_entry) all;
  TAILQ_ENTRY(ledger_entry) dirty;
  uint32_t hash;
  struct ledger_rule *rule;
  char *peer; /* LEDGER_OTHERS (the same pointer) for what had no room */
  uint64_t count[LEDGER_RESULTS];
  int64_t first, last_of[LEDGER_RESULTS];
  char reason[128];
  struct ledger_spans spans;
  /* Not on disk yet. */
  uint32_t pending[LEDGER_RESULTS];
  bool is_dirty, reason_dirty;
  uint32_t id; /* in the file; 0: none yet */
};
TAILQ_HEAD(ledger_entries, ledger_entry);

#define LEDGER_SLOTS 4096

struct ledger {
  uint64_t seed;
  struct ledger_rule *rules[LEDGER_SLOTS];
  struct ledger_entry *entries[LEDGER_SLOTS];
  struct ledger_entries all, dirty;
  unsigned rule_count, entry_count;
  struct ledger_gaps gaps;
  bool keeping;    /* somebody takes the dirty ones away */
  bool gaps_dirty; /* gaps changed since they were written */
};

/* The entry of a peer, made if need be; that of the others when there is no room. NULL: it cannot be counted. */
struct ledger_entry *ledger_entry_of(struct ledger *l, const char *config, const char *rule, bool inbound,
                                     const char *peer);
void ledger_entry_dirty(struct ledger *l, struct ledger_entry *e);
void ledger_entry_clean(struct ledger *l, struct ledger_entry *e);
/* Drops who was not seen for LEDGER_DAYS. */
void ledger_forget(struct ledger *l, time_t now);
void ledger_lose(struct ledger *l, time_t now);

#endif
