/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tally.h - what this process has counted since it began: decisions by result, handshakes by reason and how long they
 * took, renewals. Unlike the ledger it knows no rules and no peers, survives no restart, and cannot grow. Not
 * thread-safe: the control thread's.
 */
#ifndef OBSERVE_TALLY_H
#define OBSERVE_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Results as audit lines name them. */
enum tally_result {
  TALLY_ALLOWED = 0,
  TALLY_WOULD_DENY,
  TALLY_PLAINTEXT,
  TALLY_DENIED,
  TALLY_FAILED,
  TALLY_REFUSED_BY_PEER,
  TALLY_RESULTS
};
const char *tally_result_name(enum tally_result r); /* "allowed", ... */

#define TALLY_OUTCOMES 24 /* more than there are handshake outcomes */
#define TALLY_BUCKETS  13

struct tally_histogram {
  uint64_t bucket[TALLY_BUCKETS + 1]; /* not cumulative; the last: longer than every bound */
  uint64_t sum_us;
};
extern const double tally_bounds[TALLY_BUCKETS]; /* seconds */

/* Where audit lines went; what is too many is lumped together in the last. */
#define TALLY_TARGETS 16
struct tally_target {
  char to[256]; /* "" from the first unused on */
  uint64_t lines, lost;
};

enum tally_direction { TALLY_INBOUND = 0, TALLY_OUTBOUND, TALLY_DIRECTIONS };

struct tally {
  uint64_t results[TALLY_DIRECTIONS][TALLY_RESULTS];   /* audit lines: every decision is in here exactly once */
  uint64_t outcomes[TALLY_DIRECTIONS][TALLY_OUTCOMES]; /* handshakes by enum handshake_outcome */
  uint64_t resumed[TALLY_DIRECTIONS];                  /* of those that went well */
  struct tally_histogram duration[TALLY_DIRECTIONS];   /* of handshakes that came to an end by themselves */
  struct tally_target audit[TALLY_TARGETS];
};

/* A line of the audit log was written, or lost. */
void tally_line(struct tally *t, const char *to, bool lost);
uint64_t tally_lost(const struct tally *t);

void tally_handshake(struct tally *t, enum tally_direction d, unsigned outcome, uint64_t duration_us);
uint64_t tally_count(const struct tally_histogram *h);

#endif
