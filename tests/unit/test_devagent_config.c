/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_devagent_config.c - dev-agent.yaml: what is understood, and that every mistake is named with its line.
 */
#include "agentclient/devagent/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct devagent_config *parse(const char *text, char *why, size_t why_len) {
  return devagent_config_parse("d.yaml", text, strlen(text), why, why_len);
}

static void the_documented_file_is_understood(void **state) {
  (void)state;
  char why[512] = "";
  struct devagent_config *c =
      parse("trust_domain: example.org\n"
            "svid_ttl: 1h\n"
            "entries:\n"
            "  - { spiffe_id: spiffe://example.org/redis,\n"
            "      selectors: [\"unix:path:/usr/bin/redis-server\", 'unix:uid:1'], ttl: 90s }\n"
            "  - spiffe_id: spiffe://example.org/web\n"
            "    selectors: [unix:uid:0]\n"
            "    hint: internal\n",
            why, sizeof why);
  assert_string_equal(why, "");
  assert_non_null(c);
  assert_string_equal(c->trust_domain, "example.org");
  assert_int_equal(c->svid_ttl_s, 3600);
  assert_int_equal(c->entry_count, 2);
  assert_string_equal(c->entries[0].spiffe_id, "spiffe://example.org/redis");
  assert_int_equal(c->entries[0].selector_count, 2);
  assert_string_equal(c->entries[0].selectors[0], "unix:path:/usr/bin/redis-server");
  assert_string_equal(c->entries[0].selectors[1], "unix:uid:1");
  assert_string_equal(c->entries[0].hint, "");
  assert_int_equal(c->entries[0].ttl_s, 90);
  assert_string_equal(c->entries[1].hint, "internal");
  assert_int_equal(c->entries[1].ttl_s, 3600);
  devagent_config_free(c);
}

static void without_a_file_ones_own_uid_is_dev(void **state) {
  (void)state;
  struct devagent_config *c = devagent_config_default(42);
  assert_non_null(c);
  assert_string_equal(c->trust_domain, "example.org");
  assert_int_equal(c->svid_ttl_s, 3600);
  assert_int_equal(c->entry_count, 1);
  assert_string_equal(c->entries[0].spiffe_id, "spiffe://example.org/dev");
  assert_string_equal(c->entries[0].selectors[0], "unix:uid:42");
  devagent_config_free(c);
}

static void durations_are_understood_or_refused(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int64_t s;
  } t[] = {
      {"1h", 3600},   {"90s", 90},
      {"2s", 2},      {"1h30m", 5400},
      {"2d", 172800}, {"", -1},
      {"0s", -1},     {"5", -1},
      {"h", -1},      {"-1h", -1},
      {"1h ", -1},    {"1.5h", -1},
      {"1y", -1},     {"100000000000000000000s", -1},
      {"9999d", -1},
  };
  for (size_t i = 0; i < sizeof t / sizeof *t; i++)
    assert_int_equal(devagent_duration(t[i].text), t[i].s);
}

static void every_mistake_is_named_with_its_place(void **state) {
  (void)state;
  static const struct {
    const char *text, *says;
  } t[] = {
      {"", "d.yaml:1:1: the file is empty"},
      {"a: [", "d.yaml:"},
      {"[]", "d.yaml:1:1: the configuration must be a mapping"},
      {"trust_domain: example.org\nsvid_tll: 1h\n", "d.yaml:2:1: unknown key \"svid_tll\""},
      {"svid_ttl: soon\n", "d.yaml:1:11: svid_ttl: \"soon\" is not a duration"},
      {"trust_domain: Example.org\n", "d.yaml:1:15: trust_domain: "},
      {"trust_domain: []\n", "d.yaml:1:15: trust_domain must be a plain value"},
      {"trust_domain: a.org\ntrust_domain: b.org\n", "d.yaml:2:15: trust_domain is given twice"},
      {"entries: {}\n", "d.yaml:1:10: entries must be a list"},
      {"entries:\n - { spiffe_id: spiffe://example.org/a }\n", "d.yaml:2:4: an entry needs spiffe_id and selectors"},
      {"entries:\n - { selectors: [\"unix:uid:0\"] }\n", "d.yaml:2:4: an entry needs spiffe_id and selectors"},
      {"entries:\n - { spiffe_id: spiffe://example.org/a, selectors: [] }\n", "at least one selector"},
      {"entries:\n - { spiffe_id: spiffe://example.org/a, selectors: \"unix:uid:0\" }\n", "must be a list"},
      {"entries:\n - { spiffe_id: spiffe://example.org/a, selectors: [\"k8s:ns:x\"] }\n", "is no selector"},
      {"entries:\n - { spiffe_id: spiffe://example.org/a, selectors: [\"unix:uid\"] }\n", "is no selector"},
      {"entries:\n - { spiffe_id: spiffe://example.org/a, selectors: [\"unix:uid:\"] }\n", "is no selector"},
      {"entries:\n - { spiffe_id: spiffe://example.org/a, selectors: [\"uid:0\"] }\n", "is no selector"},
      {"entries:\n - { spiffe_id: spiffe://example.org/a, selector: x }\n", "unknown key \"selector\""},
      {"entries:\n - { spiffe_id: spiffe://example.org, selectors: [\"unix:uid:0\"] }\n", "d.yaml:2:4: spiffe_id"},
      {"entries:\n - { spiffe_id: example.org/a, selectors: [\"unix:uid:0\"] }\n", "d.yaml:2:4: spiffe_id"},
      {"entries:\n - { spiffe_id: spiffe://other.org/a, selectors: [\"unix:uid:0\"] }\n", "not in the trust domain"},
      {"entries:\n - { spiffe_id: spiffe://example.organ/a, selectors: [\"unix:uid:0\"] }\n",
       "not in the trust domain"},
      {"federation:\n - { trust_domain: p.test }\n", "d.yaml:2:4: a federation needs"},
      {"federation:\n - { trust_domain: p.test, bundle: /nonexistent.pem }\n", "/nonexistent.pem: No such file"},
      {"federation:\n - { trust_domain: p.test, bundle: /dev/null }\n", "no PEM certificate"},
      {"ca: { cert: a.pem }\n", "ca needs both"},
      {"ca: { certificate: a.pem }\n", "unknown key"},
  };
  for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
    char why[512] = "";
    struct devagent_config *c = parse(t[i].text, why, sizeof why);
    if (c || !strstr(why, t[i].says))
      fail_msg("%s: \"%s\" does not say \"%s\"", t[i].text, why, t[i].says);
  }
}

static void a_file_that_is_not_there_is_an_error(void **state) {
  (void)state;
  char why[512] = "";
  assert_null(devagent_config_read("/nonexistent/d.yaml", why, sizeof why));
  assert_non_null(strstr(why, "/nonexistent/d.yaml: No such file"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_documented_file_is_understood),    cmocka_unit_test(without_a_file_ones_own_uid_is_dev),
      cmocka_unit_test(durations_are_understood_or_refused),  cmocka_unit_test(every_mistake_is_named_with_its_place),
      cmocka_unit_test(a_file_that_is_not_there_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
