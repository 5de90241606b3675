/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_policy_patterns.c - which SPIFFE IDs a pattern of an allow list stands for, and which it does not.
 */
#include "agentclient/policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Does one pattern in an allow list let this ID in? */
static bool pattern(const char *text, const char *id) {
  char yaml[4096], why[512];
  const char *reason = NULL;
  struct spiffeid peer;
  int n = snprintf(yaml, sizeof yaml, "listen: [{port: 1, allow: ['%s']}]", text);
  struct policy *p = policy_parse("t.yaml", yaml, (size_t)n, NULL, NULL, why, sizeof why);
  if (!p)
    fail_msg("%s", why);
  assert_int_equal(spiffeid_parse(&peer, id, strlen(id), 0, &reason), 0);
  bool yes = policy_allows(p, 0, NULL, &peer, &reason);
  assert_true(yes || strcmp(reason, "not in allow") == 0);
  policy_unref(p);
  return yes;
}

static void an_exact_id_allows_itself_and_nobody_else(void **state) {
  (void)state;
  assert_true(pattern("spiffe://example.org/web", "spiffe://example.org/web"));
  assert_false(pattern("spiffe://example.org/web", "spiffe://example.org/web2"));
  assert_false(pattern("spiffe://example.org/web", "spiffe://example.org/web/a"));
  assert_false(pattern("spiffe://example.org/web", "spiffe://example.org/we"));
  assert_false(pattern("spiffe://example.org/web", "spiffe://example.com/web"));
  assert_false(pattern("spiffe://example.org/web", "spiffe://example.org/Web"));
  assert_false(pattern("spiffe://example.org/web", "spiffe://example.org"));
}

static void one_star_is_exactly_one_segment(void **state) {
  (void)state;
  assert_true(pattern("spiffe://example.org/ns/*/sa", "spiffe://example.org/ns/prod/sa"));
  assert_false(pattern("spiffe://example.org/ns/*/sa", "spiffe://example.org/ns/sa"));
  assert_false(pattern("spiffe://example.org/ns/*/sa", "spiffe://example.org/ns/a/b/sa"));
  assert_true(pattern("spiffe://example.org/*", "spiffe://example.org/web"));
  assert_false(pattern("spiffe://example.org/*", "spiffe://example.org/web/a"));
  assert_false(pattern("spiffe://example.org/*", "spiffe://example.org"));
}

static void two_stars_are_one_or_more_segments_at_the_end_or_in_the_middle(void **state) {
  (void)state;
  assert_true(pattern("spiffe://example.org/**", "spiffe://example.org/a"));
  assert_true(pattern("spiffe://example.org/**", "spiffe://example.org/a/b/c"));
  assert_false(pattern("spiffe://example.org/**", "spiffe://example.org"));
  assert_true(pattern("spiffe://example.org/ns/prod/**", "spiffe://example.org/ns/prod/web"));
  assert_false(pattern("spiffe://example.org/ns/prod/**", "spiffe://example.org/ns/prod"));
  assert_false(pattern("spiffe://example.org/ns/prod/**", "spiffe://example.org/ns/production/web"));
  assert_true(pattern("spiffe://example.org/a/**/z", "spiffe://example.org/a/b/z"));
  assert_true(pattern("spiffe://example.org/a/**/z", "spiffe://example.org/a/b/z/c/z"));
  assert_false(pattern("spiffe://example.org/a/**/z", "spiffe://example.org/a/z"));
  assert_false(pattern("spiffe://example.org/a/**/z", "spiffe://example.org/a/b/z/c"));
  assert_true(pattern("spiffe://example.org/**/b/**/d", "spiffe://example.org/a/b/b/c/d"));
  assert_true(pattern("spiffe://example.org/**/*/z", "spiffe://example.org/a/b/z"));
  assert_false(pattern("spiffe://example.org/**/*/z", "spiffe://example.org/b/z"));
}

static void a_pattern_never_matches_by_the_text_of_the_domain(void **state) {
  (void)state;
  assert_false(pattern("spiffe://example.org/**", "spiffe://example.org.evil.test/a"));
  assert_false(pattern("spiffe://example.org/**", "spiffe://example.or/g/a"));
  assert_false(pattern("spiffe://example.org/**", "spiffe://sub.example.org/a"));
  assert_false(pattern("spiffe://example.org/**", "spiffe://example.orgx/a"));
}

/* {trust_domain} is that of our own SVID; not known: an allow list lets nobody in by it, a deny list lets nobody
 * past. */
static bool own(const char *rule, const char *self_id, const char *peer_id) {
  char yaml[512], why[512];
  const char *reason = NULL;
  struct spiffeid self, peer;
  int n = snprintf(yaml, sizeof yaml, "listen: [{port: 1, %s}]", rule);
  struct policy *p = policy_parse("t.yaml", yaml, (size_t)n, NULL, NULL, why, sizeof why);
  if (!p)
    fail_msg("%s", why);
  if (self_id)
    assert_int_equal(spiffeid_parse(&self, self_id, strlen(self_id), 0, &reason), 0);
  assert_int_equal(spiffeid_parse(&peer, peer_id, strlen(peer_id), 0, &reason), 0);
  bool yes = policy_allows(p, 0, self_id ? &self : NULL, &peer, &reason);
  policy_unref(p);
  return yes;
}

static void our_own_trust_domain_is_a_name_and_fails_closed_when_unknown(void **state) {
  (void)state;
  static const char ours[] = "allow: ['spiffe://{trust_domain}/web']", me[] = "spiffe://example.org/me";
  static const char not_ours[] = "allow: ['spiffe://*/**'], deny: ['spiffe://{trust_domain}/web']";
  assert_true(own(ours, me, "spiffe://example.org/web"));
  assert_false(own(ours, me, "spiffe://example.org/web2"));
  assert_false(own(ours, me, "spiffe://partner.test/web"));
  assert_false(own(ours, me, "spiffe://example.org.evil.test/web"));
  assert_false(own(ours, me, "spiffe://example.or/web"));
  assert_false(own(ours, NULL, "spiffe://example.org/web"));
  assert_false(own(not_ours, me, "spiffe://example.org/web"));
  assert_true(own(not_ours, me, "spiffe://partner.test/web"));
  assert_false(own(not_ours, NULL, "spiffe://example.org/web"));
  assert_false(own(not_ours, NULL, "spiffe://partner.test/web"));
  assert_true(own(not_ours, NULL, "spiffe://partner.test/other"));
}

static void any_trust_domain_only_where_it_is_spelled(void **state) {
  (void)state;
  assert_true(pattern("spiffe://*/web", "spiffe://example.org/web"));
  assert_true(pattern("spiffe://*/web", "spiffe://partner.test/web"));
  assert_false(pattern("spiffe://*/web", "spiffe://partner.test/web/a"));
  assert_false(pattern("spiffe://*/web", "spiffe://partner.test/ns/web"));
  assert_true(pattern("spiffe://*/**", "spiffe://partner.test/ns/web"));
  assert_false(pattern("spiffe://*/**", "spiffe://partner.test"));
}

static void many_two_stars_on_a_long_id_are_judged_without_exponential_work(void **state) {
  (void)state;
  char text[2048] = "spiffe://d", id[2048] = "spiffe://d";
  for (int i = 0; i < 200; i++)
    strcat(text, "/**/a");
  strcat(text, "/b");
  for (int i = 0; i < 1000; i++)
    strcat(id, "/a");
  assert_false(pattern(text, id));
  strcat(id, "/b");
  assert_true(pattern(text, id));
}

/* The definition, word for word: pattern and ID as one letter a segment, '?' for "*", '+' for "**". */
static bool by_definition(const char *p, const char *id) {
  if (!*p)
    return !*id;
  if (!*id)
    return false;
  if (*p == '+')
    return by_definition(p + 1, id + 1) || by_definition(p, id + 1);
  return (*p == '?' || *p == *id) && by_definition(p + 1, id + 1);
}

static void spell(const char *letters, char *out) {
  strcpy(out, "spiffe://d");
  for (; *letters; letters++)
    sprintf(out + strlen(out), "/%s", *letters == '?' ? "*" : *letters == '+' ? "**" : (char[]){*letters, 0});
}

static void patterns_match_as_they_are_defined(void **state) {
  (void)state;
  srandom(1);
  for (int i = 0; i < 20000; i++) {
    char p[8] = "", id[12] = "", p_text[64], id_text[64];
    long p_len = 1 + random() % 6, id_len = 1 + random() % 10;
    for (long k = 0; k < p_len; k++)
      p[k] = "ab?+"[random() % 4];
    for (long k = 0; k < id_len; k++)
      id[k] = "ab"[random() % 2];
    spell(p, p_text);
    spell(id, id_text);
    if (pattern(p_text, id_text) != by_definition(p, id))
      fail_msg("%s and %s", p_text, id_text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_exact_id_allows_itself_and_nobody_else),
      cmocka_unit_test(one_star_is_exactly_one_segment),
      cmocka_unit_test(two_stars_are_one_or_more_segments_at_the_end_or_in_the_middle),
      cmocka_unit_test(a_pattern_never_matches_by_the_text_of_the_domain),
      cmocka_unit_test(our_own_trust_domain_is_a_name_and_fails_closed_when_unknown),
      cmocka_unit_test(any_trust_domain_only_where_it_is_spelled),
      cmocka_unit_test(many_two_stars_on_a_long_id_are_judged_without_exponential_work),
      cmocka_unit_test(patterns_match_as_they_are_defined),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
