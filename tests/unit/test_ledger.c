/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_ledger.c - what is counted is found again under its rule and peer, in every window exactly when it happened in
 * it, and however many peers there are, memory is bounded and nothing is lost from a rule's sums.
 */
#include "agentclient/observe/ledger_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOON 1800014400 /* a noon, UTC */

static struct ledger *l;

static int setup(void **state) {
  (void)state;
  l = ledger_new(NOON);
  return l ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  ledger_free(l);
  return 0;
}

static void note(const char *rule, const char *peer, enum ledger_result result, const char *reason, time_t now) {
  struct ledger_event e = {
      .config = "/c", .rule = rule, .inbound = true, .peer = peer, .result = result, .reason = reason, .now = now};
  ledger_note(l, &e);
}

struct found {
  const char *rule, *peer;
  struct ledger_line line;
  unsigned lines, hits;
  uint64_t sum[LEDGER_RESULTS];
};

static bool look(void *arg, const struct ledger_line *line) {
  struct found *f = arg;
  f->lines++;
  for (int i = 0; i < LEDGER_RESULTS; i++)
    f->sum[i] += line->count[i];
  if ((!f->rule || strcmp(f->rule, line->rule) == 0) && (!f->peer || strcmp(f->peer, line->peer) == 0)) {
    f->line = *line;
    f->hits++;
  }
  return true;
}

static struct found all(const char *rule, const char *peer) {
  struct found f = {.rule = rule, .peer = peer};
  ledger_each(l, look, &f);
  return f;
}

static struct found since(time_t from, time_t now, const char *peer) {
  struct found f = {.peer = peer};
  ledger_each_since(l, from, now, look, &f);
  return f;
}

static void counts_per_rule_peer_and_result(void **state) {
  (void)state;
  note("listen 1", "a", LEDGER_MTLS, "", NOON);
  note("listen 1", "a", LEDGER_PLAIN, "no ClientHello", NOON + 1);
  note("listen 1", "a", LEDGER_PLAIN, "silence", NOON + 2);
  note("listen 1", "a", LEDGER_MTLS, "", NOON + 3);
  note("listen 1", "b", LEDGER_DENIED, "not in allow", NOON + 4);
  note("listen 2", "a", LEDGER_FAILED, "timeout", NOON + 5);
  struct found f = all("listen 1", "a");
  assert_int_equal(f.lines, 3);
  assert_int_equal(f.hits, 1);
  assert_int_equal(f.line.count[LEDGER_MTLS], 2);
  assert_int_equal(f.line.count[LEDGER_PLAIN], 2);
  assert_int_equal(f.line.count[LEDGER_DENIED], 0);
  assert_int_equal(f.line.first, NOON);
  assert_int_equal(f.line.last, NOON + 3);
  assert_int_equal(f.line.last_plain, NOON + 2);
  assert_int_equal(f.line.last_of[LEDGER_MTLS], NOON + 3);
  assert_string_equal(f.line.last_reason, "silence");
  assert_string_equal(f.line.config, "/c");
  assert_true(f.line.inbound);
  assert_string_equal(all("listen 2", "a").line.last_reason, "timeout");
}

static void directions_and_configurations_are_kept_apart(void **state) {
  (void)state;
  struct ledger_event e = {.config = "/c", .rule = "r", .peer = "p", .reason = "", .now = NOON};
  ledger_note(l, &e);
  e.inbound = true;
  ledger_note(l, &e);
  e.config = "/d";
  ledger_note(l, &e);
  assert_int_equal(all("r", "p").hits, 3);
}

static bool stop(void *arg, const struct ledger_line *line) {
  (void)line;
  ++*(unsigned *)arg;
  return false;
}

static void iteration_stops_when_told(void **state) {
  (void)state;
  unsigned n = 0;
  note("r", "a", LEDGER_MTLS, "", NOON);
  note("r", "b", LEDGER_MTLS, "", NOON);
  ledger_each(l, stop, &n);
  assert_int_equal(n, 1);
  ledger_each_since(l, NOON, NOON, stop, &n);
  assert_int_equal(n, 2);
}

static void peers_beyond_the_bound_are_the_others(void **state) {
  (void)state;
  char peer[32];
  for (int i = 0; i < LEDGER_PEERS_MAX + 500; i++) {
    snprintf(peer, sizeof peer, "10.0.%d.%d", i / 256, i % 256);
    note("flooded", peer, LEDGER_PLAIN, "plaintext", NOON);
  }
  note("flooded", "10.0.0.0", LEDGER_PLAIN, "plaintext", NOON); /* one that has a place keeps it */
  note("calm", "10.0.0.1", LEDGER_PLAIN, "plaintext", NOON);    /* another rule is not concerned */
  struct found f = all("flooded", LEDGER_OTHERS);
  assert_int_equal(f.lines, LEDGER_PEERS_MAX + 2);
  assert_int_equal(f.line.count[LEDGER_PLAIN], 500);
  assert_int_equal(f.sum[LEDGER_PLAIN], LEDGER_PEERS_MAX + 502);
  assert_int_equal(all("flooded", "10.0.0.0").line.count[LEDGER_PLAIN], 2);
  assert_int_equal(all("calm", "10.0.0.1").hits, 1);
}

static void entries_are_bounded_over_all_rules(void **state) {
  (void)state;
  char rule[32], peer[32];
  unsigned rules = LEDGER_ENTRIES_MAX / LEDGER_PEERS_MAX + 2, sum = 0;
  for (unsigned r = 0; r < rules; r++)
    for (int i = 0; i < LEDGER_PEERS_MAX; i++, sum++) {
      snprintf(rule, sizeof rule, "rule %u", r);
      snprintf(peer, sizeof peer, "peer %d", i);
      note(rule, peer, LEDGER_MTLS, "", NOON);
    }
  struct found f = all(NULL, NULL);
  assert_in_range(f.lines, LEDGER_ENTRIES_MAX, LEDGER_ENTRIES_MAX + rules);
  assert_int_equal(f.sum[LEDGER_MTLS], sum);
}

static void rules_without_room_are_told(void **state) {
  (void)state;
  char rule[32];
  struct ledger_gaps g;
  for (unsigned r = 0; r < LEDGER_RULES_MAX; r++) {
    snprintf(rule, sizeof rule, "rule %u", r);
    note(rule, "p", LEDGER_MTLS, "", NOON);
  }
  ledger_gaps(l, &g);
  assert_int_equal(g.lost, 0);
  note("one more", "p", LEDGER_PLAIN, "", NOON + 7);
  ledger_gaps(l, &g);
  assert_int_equal(g.lost, NOON + 7);
  assert_int_equal(g.lost_now, 1);
  assert_int_equal(g.began, NOON);
}

/* To the second, whatever the resolution of the counts. */
static void a_window_has_a_result_exactly_when_it_was_seen_in_it(void **state) {
  (void)state;
  note("r", "p", LEDGER_PLAIN, "plaintext", NOON + 10);
  note("r", "p", LEDGER_MTLS, "", NOON + 11);
  assert_int_equal(since(NOON + 10, NOON + 30, "p").line.count[LEDGER_PLAIN], 1);
  assert_int_equal(since(NOON + 11, NOON + 30, "p").line.count[LEDGER_PLAIN], 0);
  assert_int_equal(since(NOON + 11, NOON + 30, "p").line.count[LEDGER_MTLS], 1);
  assert_int_equal(since(NOON + 12, NOON + 30, "p").lines, 0);
  time_t much_later = NOON + 5 * LEDGER_DAY;
  assert_int_equal(since(NOON + 10, much_later, "p").line.count[LEDGER_PLAIN], 1);
  assert_int_equal(since(NOON + 11, much_later, "p").line.count[LEDGER_PLAIN], 0);
}

/* One a second for three hours, one an hour for three days, one a day before that: every window has the right sum
 * from where it says that it begins. */
static void windows_count_from_where_they_say(void **state) {
  (void)state;
  static time_t at[20000];
  size_t n = 0;
  time_t now = NOON + 1234;
  for (int d = 40; d >= 4; d--)
    at[n++] = now - d * LEDGER_DAY;
  for (int h = 72; h >= 4; h--)
    at[n++] = now - h * LEDGER_HOUR;
  for (int s = 3 * LEDGER_HOUR; s >= 0; s--)
    at[n++] = now - s;
  for (size_t i = 0; i < n; i++)
    note("r", "p", LEDGER_PLAIN, "plaintext", at[i]);
  const time_t ages[] = {0,
                         1,
                         59,
                         60,
                         3599,
                         3600,
                         5000,
                         7300,
                         40000,
                         86400,
                         100000,
                         3 * LEDGER_DAY,
                         20 * LEDGER_DAY,
                         31 * LEDGER_DAY,
                         39 * LEDGER_DAY};
  for (size_t k = 0; k < sizeof ages / sizeof *ages; k++) {
    time_t from = ledger_window(now - ages[k], now);
    uint64_t want = 0;
    for (size_t i = 0; i < n; i++)
      want += at[i] >= from;
    assert_true(from <= now - ages[k] || ages[k] > LEDGER_DAYS * LEDGER_DAY);
    assert_int_equal(since(now - ages[k], now, "p").line.count[LEDGER_PLAIN], want);
  }
  assert_int_equal(all("r", "p").line.count[LEDGER_PLAIN], n);
}

static void an_entry_has_few_spans_however_long_it_lives(void **state) {
  (void)state;
  for (time_t t = NOON; t < NOON + 100 * LEDGER_DAY; t += 61) {
    note("r", "p", LEDGER_MTLS, "", t);
    assert_in_range(TAILQ_FIRST(&l->all)->spans.count, 1, LEDGER_SPANS_MAX);
  }
}

static void a_clock_that_is_set_back_loses_nothing(void **state) {
  (void)state;
  for (int i = 0; i < 2000; i++)
    note("r", "p", LEDGER_MTLS, "", NOON - i * 977);
  assert_int_equal(all("r", "p").line.count[LEDGER_MTLS], 2000);
  assert_in_range(TAILQ_FIRST(&l->all)->spans.count, 1, LEDGER_SPANS_MAX);
  const struct ledger_spans *s = &TAILQ_FIRST(&l->all)->spans;
  for (uint32_t i = 1; i < s->count; i++)
    assert_true(s->at[i].start >= s->at[i - 1].start + (int64_t)s->at[i - 1].width);
}

static void who_was_not_seen_for_long_is_forgotten(void **state) {
  (void)state;
  note("old", "p", LEDGER_MTLS, "", NOON);
  note("old", "q", LEDGER_MTLS, "", NOON + LEDGER_DAY);
  ledger_forget(l, NOON + (LEDGER_DAYS - 1) * LEDGER_DAY);
  assert_int_equal(all(NULL, NULL).lines, 2);
  ledger_forget(l, NOON + (LEDGER_DAYS + 1) * LEDGER_DAY);
  assert_int_equal(all("old", "q").hits, 1);
  assert_int_equal(all(NULL, NULL).lines, 1);
  ledger_forget(l, NOON + 100 * LEDGER_DAY);
  assert_int_equal(all(NULL, NULL).lines, 0);
  assert_int_equal(l->rule_count, 0);
  assert_int_equal(l->entry_count, 0);
  note("old", "p", LEDGER_MTLS, "", NOON + 100 * LEDGER_DAY);
  assert_int_equal(all("old", "p").line.count[LEDGER_MTLS], 1);
}

int main(void) {
#define WITH_LEDGER(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      WITH_LEDGER(counts_per_rule_peer_and_result),
      WITH_LEDGER(directions_and_configurations_are_kept_apart),
      WITH_LEDGER(iteration_stops_when_told),
      WITH_LEDGER(peers_beyond_the_bound_are_the_others),
      WITH_LEDGER(entries_are_bounded_over_all_rules),
      WITH_LEDGER(rules_without_room_are_told),
      WITH_LEDGER(a_window_has_a_result_exactly_when_it_was_seen_in_it),
      WITH_LEDGER(windows_count_from_where_they_say),
      WITH_LEDGER(an_entry_has_few_spans_however_long_it_lives),
      WITH_LEDGER(a_clock_that_is_set_back_loses_nothing),
      WITH_LEDGER(who_was_not_seen_for_long_is_forgotten),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
