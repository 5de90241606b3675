/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_time.c - counts over time: minutes for the last hour, hours for the last day, then days. What gets older is
 * folded together, so that an entry stays small. Days and hours are UTC's.
 */
#include "ledger_internal.h"

#include <stdlib.h>
#include <string.h>

static int64_t down(int64_t t, int64_t width) { return t - ((t % width) + width) % width; }

/* From when on spans are kept by the minute, by the hour, and at all. */
static int64_t minutes_from(int64_t now) { return down(now, LEDGER_HOUR) - LEDGER_HOUR; }
static int64_t hours_from(int64_t now) { return down(now, LEDGER_DAY) - LEDGER_DAY; }
static int64_t days_from(int64_t now) { return down(now, LEDGER_DAY) - (int64_t)LEDGER_DAYS * LEDGER_DAY; }

static int64_t width_at(int64_t when, int64_t now) {
  return when >= minutes_from(now) ? LEDGER_MINUTE : when >= hours_from(now) ? LEDGER_HOUR : LEDGER_DAY;
}

time_t ledger_window(time_t since, time_t now) {
  if (since < days_from(now))
    return days_from(now);
  return down(since, width_at(since, now));
}

void ledger_spans_free(struct ledger_spans *s) {
  free(s->at);
  *s = (struct ledger_spans){0};
}

static void add_up(uint32_t to[LEDGER_RESULTS], const uint32_t n[LEDGER_RESULTS]) {
  for (int i = 0; i < LEDGER_RESULTS; i++)
    to[i] = n[i] > UINT32_MAX - to[i] ? UINT32_MAX : to[i] + n[i];
}

/* Old spans become wider, and what is older than all windows goes. */
static void fold(struct ledger_spans *s, int64_t now) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < s->count; i++) {
    struct ledger_span x = s->at[i];
    if (x.start + (int64_t)x.width <= days_from(now))
      continue;
    int64_t width = width_at(x.start, now);
    if (width > (int64_t)x.width) {
      x.start = down(x.start, width);
      x.width = (uint32_t)width;
    }
    struct ledger_span *last = kept ? &s->at[kept - 1] : NULL;
    if (last && x.start < last->start + (int64_t)last->width) {
      add_up(last->count, x.count);
    } else {
      s->at[kept++] = x;
    }
  }
  s->count = kept;
}

static struct ledger_span *insert(struct ledger_spans *s, uint32_t at, int64_t start, uint32_t width) {
  if (s->count == s->room) {
    uint32_t room = s->room ? 2 * s->room : 4;
    struct ledger_span *more = realloc(s->at, room * sizeof *more);
    if (!more)
      return NULL;
    s->at = more;
    s->room = room;
  }
  memmove(&s->at[at + 1], &s->at[at], (s->count - at) * sizeof *s->at);
  s->count++;
  s->at[at] = (struct ledger_span){.start = start, .width = width};
  return &s->at[at];
}

/* The span that covers a time, made when there is none; a clock that was set back may ask for any. */
static struct ledger_span *span_at(struct ledger_spans *s, int64_t when, int64_t now) {
  uint32_t i = s->count;
  while (i > 0 && s->at[i - 1].start > when)
    i--;
  if (i > 0 && when < s->at[i - 1].start + (int64_t)s->at[i - 1].width)
    return &s->at[i - 1];
  fold(s, now);
  if (s->count >= LEDGER_SPANS_MAX) /* spans of a time to come, by a clock that was set back */
    return &s->at[s->count - 1];
  for (i = s->count; i > 0 && s->at[i - 1].start > when;)
    i--;
  int64_t width = width_at(when, now), start = down(when, width);
  if (i > 0 && start < s->at[i - 1].start + (int64_t)s->at[i - 1].width)
    return &s->at[i - 1];
  if (i < s->count && s->at[i].start < start + width)
    return &s->at[i];
  return insert(s, i, start, (uint32_t)width);
}

bool ledger_spans_add(struct ledger_spans *s, int64_t when, enum ledger_result result, uint32_t n, int64_t now) {
  struct ledger_span *x = span_at(s, when, now);
  if (!x)
    return false;
  uint32_t one[LEDGER_RESULTS] = {0};
  one[result] = n;
  add_up(x->count, one);
  return true;
}

bool ledger_spans_restore(struct ledger_spans *s, const struct ledger_span *span) {
  bool known = span->width == LEDGER_MINUTE || span->width == LEDGER_HOUR || span->width == LEDGER_DAY;
  if (!known || span->start < 0 || span->start % (int64_t)span->width)
    return false;
  uint32_t i = s->count;
  while (i > 0 && s->at[i - 1].start > span->start)
    i--;
  struct ledger_span *x = NULL;
  if (i > 0 && span->start < s->at[i - 1].start + (int64_t)s->at[i - 1].width)
    x = &s->at[i - 1];
  else if (i < s->count && s->at[i].start < span->start + (int64_t)span->width)
    x = &s->at[i];
  else if (s->count >= LEDGER_SPANS_MAX)
    x = &s->at[i > 0 ? i - 1 : 0];
  else
    x = insert(s, i, span->start, span->width);
  if (x)
    add_up(x->count, span->count);
  return x != NULL;
}

void ledger_spans_sum(const struct ledger_spans *s, int64_t from, uint64_t count[LEDGER_RESULTS]) {
  for (uint32_t i = s->count; i > 0 && s->at[i - 1].start + (int64_t)s->at[i - 1].width > from; i--)
    for (int r = 0; r < LEDGER_RESULTS; r++)
      count[r] += s->at[i - 1].count[r];
}
