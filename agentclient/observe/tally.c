/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tally.c - counters since the process began; see tally.h.
 */
#include "tally.h"

#include <stdio.h>
#include <string.h>

const double tally_bounds[TALLY_BUCKETS] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

const char *tally_result_name(enum tally_result r) {
  static const char *const names[] = {
      [TALLY_ALLOWED] = "allowed", [TALLY_WOULD_DENY] = "would_deny", [TALLY_PLAINTEXT] = "plaintext",
      [TALLY_DENIED] = "denied",   [TALLY_FAILED] = "failed",         [TALLY_REFUSED_BY_PEER] = "refused_by_peer"};
  return (unsigned)r < TALLY_RESULTS ? names[r] : "unknown";
}

void tally_handshake(struct tally *t, enum tally_direction d, unsigned outcome, uint64_t duration_us) {
  t->outcomes[d][outcome < TALLY_OUTCOMES ? outcome : TALLY_OUTCOMES - 1]++;
  if (duration_us == 0) /* it never began */
    return;
  struct tally_histogram *h = &t->duration[d];
  size_t i = 0;
  while (i < TALLY_BUCKETS && (double)duration_us / 1e6 > tally_bounds[i])
    i++;
  h->bucket[i]++;
  h->sum_us += duration_us;
}

void tally_line(struct tally *t, const char *to, bool lost) {
  size_t i = 0;
  while (i < TALLY_TARGETS - 1 && t->audit[i].to[0] && strncmp(t->audit[i].to, to, sizeof t->audit[i].to - 1) != 0)
    i++;
  if (!t->audit[i].to[0])
    snprintf(t->audit[i].to, sizeof t->audit[i].to, "%s", i < TALLY_TARGETS - 1 ? to : "(others)");
  t->audit[i].lines += !lost;
  t->audit[i].lost += lost;
}

uint64_t tally_lost(const struct tally *t) {
  uint64_t n = 0;
  for (size_t i = 0; i < TALLY_TARGETS; i++)
    n += t->audit[i].lost;
  return n;
}

uint64_t tally_count(const struct tally_histogram *h) {
  uint64_t n = 0;
  for (size_t i = 0; i <= TALLY_BUCKETS; i++)
    n += h->bucket[i];
  return n;
}
