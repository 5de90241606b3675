/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.h - what was decided, counted per rule and peer: the one place that status, metrics and `svidwrap report`
 * read from. Every audit line is one call of ledger_note(). Bounded: at most LEDGER_PEERS_MAX peers a rule and
 * LEDGER_ENTRIES_MAX in all, the rest is counted under the peer "(others)". Not thread-safe: the control thread's.
 */
#ifndef OBSERVE_LEDGER_H
#define OBSERVE_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define LEDGER_PEERS_MAX   1000
#define LEDGER_ENTRIES_MAX 8192
#define LEDGER_RULES_MAX   8192
#define LEDGER_DAYS        32 /* how far back a window can reach */
#define LEDGER_OTHERS      "(others)"

enum ledger_result {
  LEDGER_MTLS = 0,   /* authenticated and allowed */
  LEDGER_WOULD_DENY, /* authenticated, allowed by policy: audit alone */
  LEDGER_PLAIN,      /* let through in plaintext (permissive, canary, off and staged) */
  LEDGER_DENIED,     /* the policy or the verifier said no, or a limit did */
  LEDGER_FAILED,     /* no decision about a peer: timeouts, resets, our own troubles, alerts */
  LEDGER_RESULTS
};

struct ledger;
struct ledger *ledger_new(time_t now); /* NULL: out of memory */
void ledger_free(struct ledger *l);

struct ledger_event {
  const char *config; /* whose rule it is: the configuration's path */
  const char *rule;   /* its name */
  bool inbound;
  const char *peer; /* its SPIFFE ID where one was verified, else its address without the port */
  enum ledger_result result;
  const char *reason; /* what the audit line says */
  time_t now;
};
void ledger_note(struct ledger *l, const struct ledger_event *e);

/* Strings are the ledger's, good until the next ledger_note(). */
struct ledger_line {
  const char *config, *rule, *peer;
  bool inbound;
  uint64_t count[LEDGER_RESULTS];
  time_t first, last, last_plain;
  time_t last_of[LEDGER_RESULTS]; /* 0: never */
  const char *last_reason;        /* of what was not LEDGER_MTLS; "" where there was none */
};
typedef bool (*ledger_fn)(void *arg, const struct ledger_line *line);
/* All that was ever counted, in no order; return false to stop. */
void ledger_each(const struct ledger *l, ledger_fn fn, void *arg);

/* What was seen since then. Whether a result was seen at all in the window is exact to the second: where it was
 * not, its count is 0. Counts are exact since ledger_window(). Who was not seen is left out. */
void ledger_each_since(const struct ledger *l, time_t since, time_t now, ledger_fn fn, void *arg);
/* Where the counts of a window begin: `since`, moved back to a full minute (the last hour), hour (the last day) or
 * day, and never before what is kept. */
time_t ledger_window(time_t since, time_t now);

/* What is known not to be in the counts. */
struct ledger_gaps {
  time_t began;      /* counting began; what was before is not known */
  time_t damaged;    /* the counters of before this time were damaged on disk, and are incomplete; 0: not so */
  time_t lost;       /* something could not be counted, last at this time; 0: never */
  uint64_t lost_now; /* how often */
};
void ledger_gaps(const struct ledger *l, struct ledger_gaps *out);

#endif
