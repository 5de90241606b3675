/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_survey.c - a rule is called safe to enforce exactly when it is: every combination of what was seen, on either
 * side of the window's edge, and what is missing from the counts.
 */
#include "agentclient/observe/ledger_internal.h"
#include "agentclient/observe/survey.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOON  1800014400
#define SINCE (NOON + 100)
#define NOW   (NOON + 200)

static struct ledger *l;
static json_t *doc;

static int setup(void **state) {
  (void)state;
  l = ledger_new(NOON);
  doc = NULL;
  return l ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  json_decref(doc);
  ledger_free(l);
  return 0;
}

static void note(bool inbound, const char *peer, enum ledger_result result, time_t now) {
  struct ledger_event e = {.config = "/c.yaml",
                           .rule = "the rule",
                           .inbound = inbound,
                           .peer = peer,
                           .result = result,
                           .reason = "because",
                           .now = now};
  ledger_note(l, &e);
}

/* The verdict about "the rule". */
static json_t *look(const struct policy_rule *loaded) {
  struct survey *s = survey_new(l, SINCE, NOW);
  assert_non_null(s);
  if (loaded)
    assert_int_equal(survey_rule(s, "/c.yaml", loaded), 0);
  json_decref(doc);
  doc = survey_json(s);
  survey_free(s);
  assert_non_null(doc);
  assert_int_equal(json_array_size(json_object_get(doc, "rules")), 1);
  return json_object_get(json_array_get(json_object_get(doc, "rules"), 0), "verdict");
}

static bool safe(json_t *verdict) {
  bool is = json_is_true(json_object_get(verdict, "safe"));
  const char *text = json_string_value(json_object_get(verdict, "text"));
  assert_int_equal(is, strcmp(text, "safe to enforce") == 0);
  assert_int_equal(is, json_array_size(json_object_get(verdict, "against")) == 0);
  if (!is)
    assert_int_equal(strncmp(text, "not safe: ", 10), 0);
  return is;
}

static bool says(json_t *verdict, const char *what) {
  return strstr(json_string_value(json_object_get(verdict, "text")), what) != NULL;
}

static const struct policy_rule listen_rule = {
    .kind = RULES_LISTEN, .mode = RULES_PERMISSIVE, .name = "the rule", .audit_only = true};
static const struct policy_rule connect_rule = {
    .kind = RULES_CONNECT, .mode = RULES_CANARY, .name = "the rule", .percent = 25};

/* Every subset of the five results, in the window, before it, or both. */
static void safe_exactly_when_it_is(void **state) {
  (void)state;
  for (unsigned in = 0; in < 1u << LEDGER_RESULTS; in++)
    for (unsigned before = 0; before < 1u << LEDGER_RESULTS; before++)
      for (int inbound = 0; inbound < 2; inbound++) {
        ledger_free(l);
        l = ledger_new(NOON);
        for (int r = 0; r < LEDGER_RESULTS; r++) {
          if (before & 1u << r)
            note(inbound, "10.0.0.1", (enum ledger_result)r, SINCE - 1);
          if (in & 1u << r)
            note(inbound, r % 2 ? "10.0.0.1" : "10.0.0.2", (enum ledger_result)r, r % 2 ? SINCE : NOW);
        }
        bool plain = in & 1u << LEDGER_PLAIN, would = in & 1u << LEDGER_WOULD_DENY, mtls = in & 1u << LEDGER_MTLS;
        json_t *v = look(inbound ? &listen_rule : &connect_rule);
        assert_int_equal(safe(v), mtls && !plain && !would);
        assert_int_equal(says(v, inbound ? "plaintext from" : "plaintext to"), plain);
        assert_int_equal(says(v, "would deny"), would);
        assert_int_equal(says(v, "no traffic seen"), !in);
        assert_int_equal(says(v, "no mTLS seen"), in && !mtls && !would);
      }
}

static void who_stands_against_it_is_named(void **state) {
  (void)state;
  char peer[32];
  for (int i = 0; i < 9; i++) {
    snprintf(peer, sizeof peer, "10.0.0.%d", i);
    for (int n = 0; n <= i; n++)
      note(true, peer, LEDGER_PLAIN, NOW - 10);
  }
  note(true, "spiffe://example.org/batch", LEDGER_WOULD_DENY, NOW - 5);
  json_t *v = look(&listen_rule);
  assert_true(says(v, "plaintext from 10.0.0.8 (9, last 2027-01-15T12:03:10Z), 10.0.0.7 (8"));
  assert_true(says(v, "and 4 more; policy would deny spiffe://example.org/batch (1, last 2027-01-15T12:03:15Z)"));
  json_t *against = json_object_get(v, "against");
  assert_int_equal(json_array_size(against), 10);
  assert_string_equal(json_string_value(json_object_get(json_array_get(against, 0), "what")), "plaintext");
  assert_string_equal(json_string_value(json_object_get(json_array_get(against, 0), "peer")), "10.0.0.8");
  assert_int_equal(json_integer_value(json_object_get(json_array_get(against, 0), "count")), 9);
  assert_string_equal(json_string_value(json_object_get(json_array_get(against, 9), "what")), "would_deny");
}

static void silence_is_not_safe(void **state) {
  (void)state;
  json_t *v = look(&connect_rule);
  assert_false(safe(v));
  assert_string_equal(json_string_value(json_object_get(v, "text")), "not safe: no traffic seen in the window");
  json_t *rule = json_array_get(json_object_get(doc, "rules"), 0);
  assert_string_equal(json_string_value(json_object_get(rule, "mode")), "canary");
  assert_int_equal(json_integer_value(json_object_get(rule, "percent")), 25);
  assert_string_equal(json_string_value(json_object_get(rule, "direction")), "connect");
}

static void what_is_missing_is_not_safe(void **state) {
  (void)state;
  note(true, "spiffe://example.org/web", LEDGER_MTLS, NOW);
  assert_true(safe(look(&listen_rule)));
  l->gaps.damaged = SINCE;
  assert_true(says(look(&listen_rule), "damaged"));
  l->gaps.damaged = SINCE - 1;
  assert_true(safe(look(&listen_rule)));
  l->gaps.lost = SINCE;
  assert_true(says(look(&listen_rule), "no room to count"));
}

static void what_is_open_in_plaintext_is_not_safe(void **state) {
  (void)state;
  char peer[32];
  note(true, "spiffe://example.org/web", LEDGER_MTLS, NOW);
  for (unsigned peers = 1; peers < 200; peers += 99) {
    struct survey *s = survey_new(l, SINCE, NOW);
    assert_int_equal(survey_rule(s, "/c.yaml", &listen_rule), 0);
    for (unsigned i = 0; i < 2 * peers; i++) {
      snprintf(peer, sizeof peer, "10.0.0.%u", i % peers);
      assert_int_equal(survey_open(s, "/c.yaml", "the rule", true, peer), 0);
    }
    json_decref(doc);
    doc = survey_json(s);
    survey_free(s);
    json_t *v = json_object_get(json_array_get(json_object_get(doc, "rules"), 0), "verdict"), *o;
    assert_false(safe(v));
    assert_true(says(v, "plaintext connections still open: 10.0.0.0 (2)"));
    size_t i;
    json_int_t sum = 0;
    json_array_foreach(json_object_get(v, "against"), i, o) {
      assert_string_equal(json_string_value(json_object_get(o, "what")), "open_plaintext");
      sum += json_integer_value(json_object_get(o, "count"));
    }
    assert_int_equal(sum, 2 * peers);
    assert_in_range(i, 1, 64);
  }
}

static void a_rule_that_nobody_has_any_more_is_listed(void **state) {
  (void)state;
  note(true, "spiffe://example.org/web", LEDGER_MTLS, NOW);
  assert_true(safe(look(NULL)));
  json_t *rule = json_array_get(json_object_get(doc, "rules"), 0);
  assert_true(json_is_false(json_object_get(rule, "loaded")));
  assert_true(json_is_null(json_object_get(rule, "mode")));
}

static void a_window_before_counting_began_is_told(void **state) {
  (void)state;
  ledger_free(l);
  l = ledger_new(SINCE + 50);
  note(true, "p", LEDGER_MTLS, NOW);
  look(&listen_rule);
  assert_string_equal(json_string_value(json_object_get(doc, "since")), "2027-01-15T12:02:30Z");
  assert_string_equal(json_string_value(json_object_get(doc, "asked_since")), "2027-01-15T12:01:40Z");
}

static void names_are_cleaned(void **state) {
  (void)state;
  note(true, "evil\n\x1b[2J\xff", LEDGER_PLAIN, NOW);
  json_t *v = look(&listen_rule);
  char *text = json_dumps(doc, JSON_COMPACT);
  assert_non_null(text);
  assert_null(strchr(text, '\x1b'));
  assert_null(strchr(text, '\xff'));
  assert_true(says(v, "evil\\n"));
  free(text);
}

int main(void) {
#define WITH_LEDGER(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      WITH_LEDGER(safe_exactly_when_it_is),
      WITH_LEDGER(who_stands_against_it_is_named),
      WITH_LEDGER(silence_is_not_safe),
      WITH_LEDGER(what_is_missing_is_not_safe),
      WITH_LEDGER(what_is_open_in_plaintext_is_not_safe),
      WITH_LEDGER(a_rule_that_nobody_has_any_more_is_listed),
      WITH_LEDGER(a_window_before_counting_began_is_told),
      WITH_LEDGER(names_are_cleaned),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
