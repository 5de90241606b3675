/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.h - writes a page in Prometheus' text format (version 0.0.4). It knows the syntax and nothing of what is
 * counted: names and labels are the caller's, values of labels are escaped here.
 */
#ifndef OBSERVE_METRICS_H
#define OBSERVE_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct metrics {
  char *text; /* NUL-terminated, or NULL when nothing was written; the caller frees it */
  size_t len, room;
  bool failed; /* out of memory: the page is not whole and must not be served */
};

enum metrics_type { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };

/* HELP and TYPE of what follows; name without the prefix "svidwrap_". */
void metrics_family(struct metrics *m, const char *name, enum metrics_type type, const char *help);
/* A sample. Labels are pairs of name and value, ended by NULL. */
void metrics_value(struct metrics *m, const char *name, double value, ...) __attribute__((sentinel));
void metrics_count(struct metrics *m, const char *name, uint64_t value, ...) __attribute__((sentinel));
/* Buckets (counts, not cumulative; one more than bounds), sum and count of a histogram with one label. */
void metrics_histogram(struct metrics *m, const char *name, const double *bounds, const uint64_t *buckets,
                       size_t bound_count, double sum, const char *label, const char *value);

#endif
