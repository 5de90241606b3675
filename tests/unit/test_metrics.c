/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_metrics.c - a page for Prometheus says what was counted, and nobody who chooses a name can forge a line of it.
 */
#include "agentclient/observe/metrics.h"
#include "agentclient/observe/tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void values_of_labels_cannot_leave_their_quotes(void **state) {
  (void)state;
  struct metrics m = {0};
  metrics_count(&m, "x", 1, "a", "b\"} 7\nsvidwrap_forged 1", "c", "back\\slash\t\x1b\xff caf\xc3\xa9", NULL);
  assert_false(m.failed);
  assert_string_equal(m.text,
                      "svidwrap_x{a=\"b\\\"} 7\\nsvidwrap_forged 1\",c=\"back\\\\slash??? caf\xc3\xa9\"} 1\n");
  assert_int_equal(m.len, strlen(m.text));
  free(m.text);
}

static void numbers_are_whole_and_absent_labels_leave_no_braces(void **state) {
  (void)state;
  struct metrics m = {0};
  metrics_family(&m, "x_total", METRICS_COUNTER, "What it is.");
  metrics_count(&m, "x_total", UINT64_MAX, NULL);
  metrics_value(&m, "y", 1795265671.5, "l", NULL, NULL);
  assert_string_equal(m.text, "# HELP svidwrap_x_total What it is.\n# TYPE svidwrap_x_total counter\n"
                              "svidwrap_x_total 18446744073709551615\nsvidwrap_y{l=\"\"} 1795265671.5\n");
  free(m.text);
}

static void a_histogram_is_cumulative_and_ends_with_its_sum_and_count(void **state) {
  (void)state;
  static const double bounds[] = {0.5, 1, 2.5};
  static const uint64_t buckets[] = {1, 0, 2, 4};
  struct metrics m = {0};
  metrics_histogram(&m, "h", bounds, buckets, 3, 12.25, "d", "in");
  assert_string_equal(m.text, "svidwrap_h_bucket{d=\"in\",le=\"0.5\"} 1\n"
                              "svidwrap_h_bucket{d=\"in\",le=\"1\"} 1\n"
                              "svidwrap_h_bucket{d=\"in\",le=\"2.5\"} 3\n"
                              "svidwrap_h_bucket{d=\"in\",le=\"+Inf\"} 7\n"
                              "svidwrap_h_sum{d=\"in\"} 12.25\n"
                              "svidwrap_h_count{d=\"in\"} 7\n");
  free(m.text);
}

static void a_long_page_grows(void **state) {
  (void)state;
  struct metrics m = {0};
  char name[3000];
  memset(name, 'n', sizeof name - 1);
  name[sizeof name - 1] = '\0';
  for (int i = 0; i < 50; i++)
    metrics_count(&m, "x", 1, "name", name, NULL);
  assert_int_equal(m.len, 50 * (strlen("svidwrap_x{name=\"\"} 1\n") + sizeof name - 1));
  assert_int_equal(m.text[m.len], '\0');
  free(m.text);
}

static void durations_fall_into_their_buckets(void **state) {
  (void)state;
  struct tally t = {0};
  tally_handshake(&t, TALLY_INBOUND, 0, 1000);     /* 1 ms: within the first bound */
  tally_handshake(&t, TALLY_INBOUND, 0, 1001);     /* just beyond it */
  tally_handshake(&t, TALLY_INBOUND, 3, 60000000); /* a minute: beyond every bound */
  tally_handshake(&t, TALLY_INBOUND, 3, 0);        /* never began: no duration */
  assert_int_equal(t.duration[TALLY_INBOUND].bucket[0], 1);
  assert_int_equal(t.duration[TALLY_INBOUND].bucket[1], 1);
  assert_int_equal(t.duration[TALLY_INBOUND].bucket[TALLY_BUCKETS], 1);
  assert_int_equal(t.duration[TALLY_INBOUND].sum_us, 60002001);
  assert_int_equal(t.outcomes[TALLY_INBOUND][0], 2);
  assert_int_equal(t.outcomes[TALLY_INBOUND][3], 2);
  assert_int_equal(t.outcomes[TALLY_OUTBOUND][0], 0);
}

static void an_outcome_that_is_not_known_stays_within_bounds(void **state) {
  (void)state;
  struct tally t = {0};
  tally_handshake(&t, TALLY_OUTBOUND, 4711, 5);
  assert_int_equal(t.outcomes[TALLY_OUTBOUND][TALLY_OUTCOMES - 1], 1);
}

static void audit_targets_are_counted_apart_and_their_number_is_bounded(void **state) {
  (void)state;
  struct tally t = {0};
  char to[32];
  for (int i = 0; i < 40; i++) {
    snprintf(to, sizeof to, "/var/log/%d", i);
    tally_line(&t, to, false);
    tally_line(&t, to, i % 2);
  }
  assert_string_equal(t.audit[0].to, "/var/log/0");
  assert_int_equal(t.audit[0].lines, 2);
  assert_int_equal(t.audit[1].lost, 1);
  assert_string_equal(t.audit[TALLY_TARGETS - 1].to, "(others)");
  assert_int_equal(tally_lost(&t), 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_of_labels_cannot_leave_their_quotes),
      cmocka_unit_test(numbers_are_whole_and_absent_labels_leave_no_braces),
      cmocka_unit_test(a_histogram_is_cumulative_and_ends_with_its_sum_and_count),
      cmocka_unit_test(a_long_page_grows),
      cmocka_unit_test(durations_fall_into_their_buckets),
      cmocka_unit_test(an_outcome_that_is_not_known_stays_within_bounds),
      cmocka_unit_test(audit_targets_are_counted_apart_and_their_number_is_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
