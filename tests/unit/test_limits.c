/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_limits.c - is every limit of a rule kept, for all and for each, and is its table bounded?
 */
#include "agentclient/daemon/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define CONFIG ((const struct config *)(void *)&config_stands_for)
static int config_stands_for;
static char why[256];

static bool admit(struct limits *l, const struct policy_rule *r, const char *peer, int64_t now,
                  struct limits_hold *hold) {
  return limits_admit(l, CONFIG, r, peer, now, hold, why, sizeof why);
}

static void connections_at_a_time(void **state) {
  (void)state;
  struct limits *l = limits_new();
  struct policy_rule r = {.name = "r", .limits = {.connections = 3, .connections_per_peer = 2}};
  struct limits_hold h[3];
  assert_true(admit(l, &r, "a", 0, &h[0]));
  assert_true(admit(l, &r, "a", 0, &h[1]));
  struct limits_hold none;
  assert_false(admit(l, &r, "a", 0, &none));
  assert_string_equal(why, "over the limit: connections_per_peer: 2");
  assert_null(none.rule);
  assert_true(admit(l, &r, "b", 0, &h[2]));
  assert_false(admit(l, &r, "c", 0, &none));
  assert_string_equal(why, "over the limit: connections: 3");
  limits_release(&h[0]);
  assert_true(admit(l, &r, "a", 0, &h[0]));
  struct policy_rule other = {.name = "other", .limits = {.connections = 1}};
  assert_true(admit(l, &other, "a", 0, &none)); /* of another rule */
  limits_release(&none);
  for (int i = 0; i < 3; i++)
    limits_release(&h[i]);
  limits_free(l);
}

static void new_ones_a_second(void **state) {
  (void)state;
  struct limits *l = limits_new();
  struct policy_rule r = {.name = "r", .limits = {.rate = 10, .burst = 2, .rate_per_peer = 1, .burst_per_peer = 1}};
  struct limits_hold h;
  assert_true(admit(l, &r, "a", 1000, &h));
  limits_release(&h); /* gives no token back */
  assert_false(admit(l, &r, "a", 1000, &h));
  assert_string_equal(why, "over the limit: rate_per_peer: 1");
  assert_true(admit(l, &r, "b", 1000, &h)); /* what was refused has cost nothing */
  limits_release(&h);
  assert_false(admit(l, &r, "c", 1000, &h));
  assert_string_equal(why, "over the limit: rate: 10");
  assert_true(admit(l, &r, "c", 1100, &h));
  limits_release(&h);
  assert_false(admit(l, &r, "a", 1999, &h));
  assert_true(admit(l, &r, "a", 2000, &h));
  limits_release(&h);
  for (int i = 0; i < 2; i++) { /* an hour saves up no more than the burst */
    char peer[8];
    snprintf(peer, sizeof peer, "p%d", i);
    assert_true(admit(l, &r, peer, 3600000, &h));
    limits_release(&h);
  }
  assert_false(admit(l, &r, "p2", 3600000, &h));
  limits_free(l);
}

static void a_rule_without_limits_counts_nothing(void **state) {
  (void)state;
  struct limits *l = limits_new();
  struct policy_rule r = {.name = "r"};
  struct limits_hold h;
  for (int i = 0; i < 100000; i++)
    assert_true(admit(l, &r, "a", 0, &h));
  assert_null(h.rule);
  assert_null(h.peer);
  limits_free(l);
}

static void peers_that_are_many_get_past_no_limit(void **state) {
  (void)state;
  static struct limits_hold h[LIMITS_MAX];
  struct limits *l = limits_new();
  struct policy_rule r = {.name = "r", .limits = {.connections_per_peer = 1}};
  char peer[32];
  for (unsigned i = 0; i < LIMITS_MAX; i++) {
    snprintf(peer, sizeof peer, "peer %u", i);
    assert_true(admit(l, &r, peer, 0, &h[i]));
  }
  struct limits_hold none;
  assert_false(admit(l, &r, "one more", 0, &none));
  assert_non_null(strstr(why, "would have to be counted"));
  limits_release(&h[77]);
  assert_true(admit(l, &r, "one more", 0, &h[77])); /* what is idle makes room */
  for (unsigned i = 0; i < LIMITS_MAX; i++)
    limits_release(&h[i]);
  limits_free(l);
}

static void what_is_there_already_is_counted_and_not_ended(void **state) {
  (void)state;
  struct limits *l = limits_new();
  struct policy_rule r = {.name = "r", .limits = {.connections = 1}};
  struct limits_hold a, b, none;
  limits_count(l, CONFIG, &r, "a", 0, &a);
  limits_count(l, CONFIG, &r, "a", 0, &b);
  assert_false(admit(l, &r, "a", 0, &none));
  limits_release(&a);
  assert_false(admit(l, &r, "a", 0, &none));
  limits_release(&b);
  assert_true(admit(l, &r, "a", 0, &none));
  limits_release(&none);
  limits_free(l);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(connections_at_a_time),
      cmocka_unit_test(new_ones_a_second),
      cmocka_unit_test(a_rule_without_limits_counts_nothing),
      cmocka_unit_test(peers_that_are_many_get_past_no_limit),
      cmocka_unit_test(what_is_there_already_is_counted_and_not_ended),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
