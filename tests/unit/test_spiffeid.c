/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_spiffeid.c - which strings are SPIFFE IDs, and does a refusal say why? (SPIFFE-ID.md section 2)
 */
#include "agentclient/identity/spiffeid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char *const valid[] = {
    "spiffe://example.org",
    "spiffe://example.org/web",
    "spiffe://example.org/ns/prod/sa/web",
    "spiffe://a/b",
    "spiffe://0.1-2_3/A.b-C_9",
    "spiffe://example.org/...",
    "spiffe://example.org/.hidden",
    "spiffe://example.org/a../..b",
    "spiffe://example.org/9eebccd2-12bf-40a6-b262-65fe0487d453",
};

static const struct {
  const char *text, *why;
} invalid[] = {
    {"", "does not begin"},
    {"spiffe", "does not begin"},
    {"spiffe:/example.org/web", "does not begin"},
    {"SPIFFE://example.org/web", "does not begin"},
    {"Spiffe://example.org/web", "does not begin"},
    {"https://example.org/web", "does not begin"},
    {" spiffe://example.org/web", "does not begin"},
    {"spiffe://", "domain is empty"},
    {"spiffe:///web", "domain is empty"},
    {"spiffe://Example.org/web", "only a-z"},
    {"spiffe://exämple.org/web", "only a-z"},
    {"spiffe://example.org:443/web", "port"},
    {"spiffe://user@example.org/web", "user information"},
    {"spiffe://example%2eorg/web", "percent"},
    {"spiffe://example.org?x", "query"},
    {"spiffe://example.org#x", "fragment"},
    {"spiffe://[::1]/web", "only a-z"},
    {"spiffe://example.org/", "empty segment"},
    {"spiffe://example.org//web", "empty segment"},
    {"spiffe://example.org/web/", "empty segment"},
    {"spiffe://example.org/a//b", "empty segment"},
    {"spiffe://example.org/.", "'.' or '..'"},
    {"spiffe://example.org/..", "'.' or '..'"},
    {"spiffe://example.org/a/./b", "'.' or '..'"},
    {"spiffe://example.org/a/../b", "'.' or '..'"},
    {"spiffe://example.org/a%2fb", "percent"},
    {"spiffe://example.org/a?b=c", "query"},
    {"spiffe://example.org/a#b", "fragment"},
    {"spiffe://example.org/a b", "only letters"},
    {"spiffe://example.org/a\nb", "only letters"},
    {"spiffe://example.org/\xc3\xa4", "only letters"},
    {"spiffe://example.org/a:b", "only letters"},
    {"spiffe://example.org/a+b", "only letters"},
    {"spiffe://example.org/a@b", "only letters"},
};

static void accepts_what_the_standard_allows(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof valid / sizeof valid[0]; i++) {
    struct spiffeid id;
    const char *why = "";
    if (spiffeid_parse(&id, valid[i], strlen(valid[i]), 0, &why) != 0)
      fail_msg("%s: %s", valid[i], why);
    assert_int_equal(id.len, strlen(valid[i]));
    assert_string_equal(id.text, valid[i]);
  }
}

static void refuses_the_rest_and_says_why(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++) {
    struct spiffeid id;
    const char *why = "";
    if (spiffeid_parse(&id, invalid[i].text, strlen(invalid[i].text), 0, &why) == 0)
      fail_msg("accepted %s", invalid[i].text);
    if (!strstr(why, invalid[i].why))
      fail_msg("%s: \"%s\" does not mention \"%s\"", invalid[i].text, why, invalid[i].why);
    assert_int_equal(id.len, 0);
  }
}

static void splits_domain_and_path(void **state) {
  struct spiffeid id;
  (void)state;
  assert_int_equal(spiffeid_parse(&id, "spiffe://example.org/a/b", 24, 1, NULL), 0);
  assert_int_equal(id.domain_len, strlen("example.org"));
  assert_string_equal(id.text + 9 + id.domain_len, "/a/b");
}

static void asks_for_a_path_where_one_is_needed(void **state) {
  struct spiffeid id;
  const char *why = "";
  (void)state;
  assert_int_equal(spiffeid_parse(&id, "spiffe://example.org", 20, 1, &why), -1);
  assert_non_null(strstr(why, "no path"));
}

static void a_nul_does_not_end_an_id(void **state) {
  static const char in_path[] = "spiffe://example.org/web\0.attacker";
  static const char in_domain[] = "spiffe://example.org\0.attacker/web";
  struct spiffeid id;
  (void)state;
  assert_int_equal(spiffeid_parse(&id, in_path, sizeof in_path - 1, 1, NULL), -1);
  assert_int_equal(spiffeid_parse(&id, in_domain, sizeof in_domain - 1, 1, NULL), -1);
}

static void lengths_end_where_the_standard_ends_them(void **state) {
  char text[SPIFFEID_MAX + 2];
  struct spiffeid id;
  const char *why = "";
  (void)state;
  memset(text, 'a', sizeof text);
  memcpy(text, "spiffe://d/", 11);
  assert_int_equal(spiffeid_parse(&id, text, SPIFFEID_MAX, 1, &why), 0);
  assert_int_equal(id.text[SPIFFEID_MAX], '\0');
  assert_int_equal(spiffeid_parse(&id, text, SPIFFEID_MAX + 1, 1, &why), -1);
  assert_non_null(strstr(why, "2048"));

  memset(text, 'a', sizeof text);
  memcpy(text, "spiffe://", 9);
  assert_int_equal(spiffeid_parse(&id, text, 9 + SPIFFEID_DOMAIN_MAX, 0, &why), 0);
  assert_int_equal(spiffeid_parse(&id, text, 9 + SPIFFEID_DOMAIN_MAX + 1, 0, &why), -1);
  assert_non_null(strstr(why, "255"));
}

static void never_reads_beyond_the_length(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof valid / sizeof valid[0]; i++) {
    for (size_t n = 0; n <= strlen(valid[i]); n++) {
      char *exact = malloc(n ? n : 1); /* the sanitizer lane watches its end */
      struct spiffeid id;
      memcpy(exact, valid[i], n);
      if (spiffeid_parse(&id, exact, n, 0, NULL) == 0)
        assert_int_equal(id.len, n);
      free(exact);
    }
  }
}

static void parse(struct spiffeid *id, const char *text) {
  assert_int_equal(spiffeid_parse(id, text, strlen(text), 0, NULL), 0);
}

static void domains_are_compared_whole(void **state) {
  struct spiffeid a, b, none = {.len = 0};
  (void)state;
  parse(&a, "spiffe://example.org/web");
  parse(&b, "spiffe://example.org/db/x");
  assert_true(spiffeid_same_domain(&a, &b));
  parse(&b, "spiffe://example.orga/web");
  assert_false(spiffeid_same_domain(&a, &b));
  parse(&b, "spiffe://example.or/gweb");
  assert_false(spiffeid_same_domain(&a, &b));
  assert_false(spiffeid_same_domain(&a, &none));
  assert_false(spiffeid_same_domain(&none, &none));
}

static void bare_domains(void **state) {
  const char *why = "";
  (void)state;
  assert_int_equal(spiffeid_domain_valid("example.org", 11, &why), 0);
  assert_int_equal(spiffeid_domain_valid("", 0, &why), -1);
  assert_int_equal(spiffeid_domain_valid("a/b", 3, &why), -1);
  assert_int_equal(spiffeid_domain_valid("EXAMPLE", 7, &why), -1);
  assert_int_equal(spiffeid_domain_valid("a\0b", 3, &why), -1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(accepts_what_the_standard_allows),
      cmocka_unit_test(refuses_the_rest_and_says_why),
      cmocka_unit_test(splits_domain_and_path),
      cmocka_unit_test(asks_for_a_path_where_one_is_needed),
      cmocka_unit_test(a_nul_does_not_end_an_id),
      cmocka_unit_test(lengths_end_where_the_standard_ends_them),
      cmocka_unit_test(never_reads_beyond_the_length),
      cmocka_unit_test(domains_are_compared_whole),
      cmocka_unit_test(bare_domains),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
