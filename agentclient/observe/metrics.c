/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.c - Prometheus' text format; see metrics.h. A page that ran out of memory says so instead of lying.
 */
#include "metrics.h"

#include "../policy/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "svidwrap_"

static void put(struct metrics *m, const char *data, size_t len) {
  if (m->failed)
    return;
  if (m->len + len + 1 > m->room) {
    size_t room = m->room ? m->room * 2 : 4096;
    while (room < m->len + len + 1)
      room *= 2;
    char *more = realloc(m->text, room);
    if (!more) {
      m->failed = true;
      return;
    }
    m->text = more;
    m->room = room;
  }
  memcpy(m->text + m->len, data, len);
  m->len += len;
  m->text[m->len] = '\0';
}

static void puts_(struct metrics *m, const char *text) { put(m, text, strlen(text)); }

/* Backslash, quote and newline have escapes of their own; of the rest what is no text becomes '?', so that the page
 * stays UTF-8 whatever a program calls itself. */
static void put_label_value(struct metrics *m, const char *value) {
  size_t left = strlen(value);
  while (left > 0) {
    size_t n = text_clean(value, strcspn(value, "\\\""), "");
    put(m, value, n);
    value += n;
    left -= n;
    if (left == 0)
      break;
    puts_(m, *value == '\\' ? "\\\\" : *value == '"' ? "\\\"" : *value == '\n' ? "\\n" : "?");
    value++;
    left--;
  }
}

static void put_label(struct metrics *m, bool first, const char *name, const char *value) {
  puts_(m, first ? "{" : ",");
  puts_(m, name);
  puts_(m, "=\"");
  put_label_value(m, value);
  puts_(m, "\"");
}

static void put_name(struct metrics *m, const char *name, const char *suffix) {
  puts_(m, PREFIX);
  puts_(m, name);
  puts_(m, suffix);
}

static void put_end(struct metrics *m, const char *number) {
  puts_(m, " ");
  puts_(m, number);
  puts_(m, "\n");
}

static void put_labels(struct metrics *m, va_list ap) {
  bool any = false;
  for (const char *name; (name = va_arg(ap, const char *)); any = true) {
    const char *value = va_arg(ap, const char *);
    put_label(m, !any, name, value ? value : "");
  }
  if (any)
    puts_(m, "}");
}

void metrics_family(struct metrics *m, const char *name, enum metrics_type type, const char *help) {
  static const char *const types[] = {"counter", "gauge", "histogram"};
  puts_(m, "# HELP ");
  put_name(m, name, " ");
  puts_(m, help);
  puts_(m, "\n# TYPE ");
  put_name(m, name, " ");
  puts_(m, types[type]);
  puts_(m, "\n");
}

void metrics_value(struct metrics *m, const char *name, double value, ...) {
  char number[64];
  va_list ap;
  put_name(m, name, "");
  va_start(ap, value);
  put_labels(m, ap);
  va_end(ap);
  snprintf(number, sizeof number, "%.17g", value);
  put_end(m, number);
}

void metrics_count(struct metrics *m, const char *name, uint64_t value, ...) {
  char number[32];
  va_list ap;
  put_name(m, name, "");
  va_start(ap, value);
  put_labels(m, ap);
  va_end(ap);
  snprintf(number, sizeof number, "%" PRIu64, value);
  put_end(m, number);
}

void metrics_histogram(struct metrics *m, const char *name, const double *bounds, const uint64_t *buckets,
                       size_t bound_count, double sum, const char *label, const char *value) {
  char number[64], bound[32];
  uint64_t total = 0;
  for (size_t i = 0; i <= bound_count; i++) {
    total += buckets[i];
    if (i < bound_count)
      snprintf(bound, sizeof bound, "%g", bounds[i]);
    put_name(m, name, "_bucket");
    put_label(m, true, label, value);
    put_label(m, false, "le", i < bound_count ? bound : "+Inf");
    snprintf(number, sizeof number, "%" PRIu64, total);
    puts_(m, "}");
    put_end(m, number);
  }
  static const char *const tails[] = {"_sum", "_count"};
  for (size_t i = 0; i < 2; i++) {
    put_name(m, name, tails[i]);
    put_label(m, true, label, value);
    puts_(m, "}");
    if (i == 0)
      snprintf(number, sizeof number, "%.17g", sum);
    else
      snprintf(number, sizeof number, "%" PRIu64, total);
    put_end(m, number);
  }
}
