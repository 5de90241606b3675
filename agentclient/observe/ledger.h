/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.h - what was decided, counted per rule and peer: the one place that status, metrics and `svidwrap report`
 * read from. Every audit line is one call of ledger_note(). Bounded: at most LEDGER_PEERS_MAX peers a rule, the rest
 * is counted under the peer "(others)". Not thread-safe: the control thread's.
 */
#ifndef OBSERVE_LEDGER_H
#define OBSERVE_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define LEDGER_PEERS_MAX 1000

enum ledger_result {
  LEDGER_MTLS = 0,   /* authenticated and allowed */
  LEDGER_WOULD_DENY, /* authenticated, allowed by policy: audit alone */
  LEDGER_PLAIN,      /* let through in plaintext (permissive, canary, off and staged) */
  LEDGER_DENIED,     /* the policy or the verifier said no, or a limit did */
  LEDGER_FAILED,     /* no decision about a peer: timeouts, resets, our own troubles, alerts */
  LEDGER_RESULTS
};

struct ledger;
struct ledger *ledger_new(void);
void ledger_free(struct ledger *l);

/* peer: its SPIFFE ID where it has shown one, else its address without the port. reason: what the audit line says. */
void ledger_note(struct ledger *l, const char *rule, bool inbound, const char *peer, enum ledger_result result,
                 const char *reason, time_t now);

struct ledger_line {
  const char *rule, *peer;
  bool inbound;
  uint64_t count[LEDGER_RESULTS];
  time_t first, last, last_plain;
  const char *last_reason; /* of what was not LEDGER_MTLS; "" where there was none */
};
/* In no order; return false to stop. */
void ledger_each(const struct ledger *l, bool (*fn)(void *arg, const struct ledger_line *line), void *arg);

#endif
