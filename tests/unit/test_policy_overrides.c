/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_policy_overrides.c - does a variable of the environment change the mode of the rule it names, of no other, and
 * never where the file is enforced? Is one that cannot be understood an error, and not "as the file says"?
 */
#include "agentclient/policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* NAME, value, NAME, value ..., NULL */
static const char *lookup(void *arg, const char *name) {
  for (const char *const *v = arg; v && *v; v += 2)
    if (strcmp(v[0], name) == 0)
      return v[1];
  return NULL;
}
#define ENV(...)                                                                                                     \
  (const char *const[]) { __VA_ARGS__, NULL }

static struct policy *parse(const char *text, const char *const *env, char *why, size_t why_len) {
  return policy_parse("t.yaml", text, strlen(text), lookup, (void *)(uintptr_t)env, why, why_len);
}

static struct policy *with(const char *text, const char *const *env) {
  char why[512];
  struct policy *p = parse(text, env, why, sizeof why);
  if (!p)
    fail_msg("%s", why);
  return p;
}

#define FILE_TEXT                                                                                                    \
  "listen:\n"                                                                                                        \
  "  - { port: [6379, 7000-7010], allow: [spiffe://d/a] }\n"                                                         \
  "  - { port: 6379-6400, mode: off, allow: [spiffe://d/a] }\n"                                                      \
  "  - { port: 80, mode: off }\n"                                                                                    \
  "connect:\n"                                                                                                       \
  "  - { name: my-cache.1, to: '10.0.0.0/8:6379', mode: off, allow: [spiffe://d/a] }\n"                              \
  "  - { to: ['192.0.2.1:6379', '192.0.2.1:5432'], mode: canary, percent: 5, allow: [spiffe://d/a] }\n"

static void a_variable_changes_the_rule_that_it_names_and_no_other(void **state) {
  (void)state;
  static const struct {
    const char *name, *value;
    uint32_t rule;
    enum rules_mode mode;
  } cases[] = {
      {"SVIDWRAP_LISTEN_6379_MODE", "permissive", 0, RULES_PERMISSIVE},
      {"SVIDWRAP_LISTEN_7000_MODE", "off", 0, RULES_OFF},
      {"SVIDWRAP_CONNECT_MY_CACHE_1_MODE", "canary", 3, RULES_CANARY},
      {"SVIDWRAP_CONNECT_5432_MODE", "enforce", 4, RULES_ENFORCE},
  };
  static const enum rules_mode as_written[] = {RULES_ENFORCE, RULES_OFF, RULES_OFF, RULES_OFF, RULES_CANARY};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct policy *p = with(FILE_TEXT, ENV(cases[i].name, cases[i].value));
    for (uint32_t r = 0; r < 5; r++) {
      bool changed = r == cases[i].rule;
      const struct policy_rule *rule = policy_rule_at(p, r);
      assert_int_equal(rule->mode, changed ? cases[i].mode : as_written[r]);
      assert_int_equal(rule->staged, rule->mode == RULES_OFF && r != 2);
      if (changed)
        assert_string_equal(rule->mode_from, cases[i].name);
      else
        assert_null(rule->mode_from);
    }
    policy_unref(p);
  }
}

static void a_percentage_is_changed_alone_or_with_the_mode(void **state) {
  (void)state;
  struct policy *p = with(FILE_TEXT, ENV("SVIDWRAP_CONNECT_5432_PERCENT", "50", "SVIDWRAP_CONNECT_MY_CACHE_1_MODE",
                                         "canary", "SVIDWRAP_CONNECT_MY_CACHE_1_PERCENT", "0"));
  assert_int_equal(policy_rule_at(p, 4)->percent, 50);
  assert_string_equal(policy_rule_at(p, 4)->percent_from, "SVIDWRAP_CONNECT_5432_PERCENT");
  assert_int_equal(policy_rule_at(p, 3)->mode, RULES_CANARY);
  assert_int_equal(policy_rule_at(p, 3)->percent, 0);
  policy_unref(p);
}

static void an_enforced_file_takes_nothing_from_the_environment(void **state) {
  (void)state;
  struct policy *p = with("enforce_config: true\n" FILE_TEXT,
                          ENV("SVIDWRAP_LISTEN_6379_MODE", "off", "SVIDWRAP_CONNECT_5432_PERCENT", "0",
                              "SVIDWRAP_CONNECT_6379_MODE", "nonsense"));
  assert_int_equal(policy_rule_at(p, 0)->mode, RULES_ENFORCE);
  assert_int_equal(policy_rule_at(p, 4)->percent, 5);
  policy_unref(p);
}

static void what_is_wrong_with_a_variable_is_an_error(void **state) {
  (void)state;
  static const struct {
    const char *env[5], *says;
  } cases[] = {
      {{"SVIDWRAP_LISTEN_6379_MODE", "on"},
       "t.yaml:2:5: the environment variable SVIDWRAP_LISTEN_6379_MODE holds 'on'; a mode is off, permissive"},
      {{"SVIDWRAP_LISTEN_6379_MODE", "canary"},
       "t.yaml:2:5: the environment variable SVIDWRAP_LISTEN_6379_MODE cannot be used: canary is for connect rules"},
      {{"SVIDWRAP_LISTEN_80_MODE", "enforce"},
       "t.yaml:4:5: the environment variable SVIDWRAP_LISTEN_80_MODE cannot be used: it has no allow list"},
      {{"SVIDWRAP_CONNECT_6379_MODE", "off"},
       "t.yaml:6:5: the environment variable SVIDWRAP_CONNECT_6379_MODE could mean rule 'connect 192.0.2.1:6379, "
       "192.0.2.1:5432' (line 7), too; use the name"},
      {{"SVIDWRAP_CONNECT_5432_PERCENT", "101"},
       "t.yaml:7:5: the environment variable SVIDWRAP_CONNECT_5432_PERCENT holds '101'; a percentage is"},
      {{"SVIDWRAP_CONNECT_5432_PERCENT", "5%"},
       "t.yaml:7:5: the environment variable SVIDWRAP_CONNECT_5432_PERCENT holds '5%'; a percentage is"},
      {{"SVIDWRAP_LISTEN_6379_MODE", "off", "SVIDWRAP_LISTEN_7000_MODE", "permissive"},
       "t.yaml:2:5: the environment variable SVIDWRAP_LISTEN_7000_MODE contradicts SVIDWRAP_LISTEN_6379_MODE"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char why[512] = "";
    assert_null(parse(FILE_TEXT, cases[i].env, why, sizeof why));
    if (strncmp(why, cases[i].says, strlen(cases[i].says)) != 0)
      fail_msg("%s", why);
  }
}

static void an_empty_variable_and_one_that_names_nothing_change_nothing(void **state) {
  (void)state;
  struct policy *p = with(FILE_TEXT, ENV("SVIDWRAP_LISTEN_6379_MODE", "", "SVIDWRAP_LISTEN_7005_MODE", "off",
                                         "SVIDWRAP_LISTEN_LISTEN_6379_MODE", "off"));
  assert_int_equal(policy_rule_at(p, 0)->mode, RULES_ENFORCE);
  policy_unref(p);
}

/* What `svidwrap mode --persist` writes is about the file, whatever the shell's environment says today. */
static void a_change_of_the_text_looks_past_the_environment(void **state) {
  (void)state;
  static const char text[] = "listen: [{port: 1, mode: off, allow: [spiffe://d/a]}]";
  char why[512], *out;
  size_t len;
  assert_int_equal(policy_edit_mode("t.yaml", text, sizeof text - 1, lookup,
                                    (void *)(uintptr_t)ENV("SVIDWRAP_LISTEN_1_MODE", "enforce"), "listen 1",
                                    RULES_PERMISSIVE, UINT32_MAX, &out, &len, why, sizeof why),
                   0);
  assert_string_equal(out, "listen: [{port: 1, mode: permissive, allow: [spiffe://d/a]}]");
  free(out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_variable_changes_the_rule_that_it_names_and_no_other),
      cmocka_unit_test(a_percentage_is_changed_alone_or_with_the_mode),
      cmocka_unit_test(an_enforced_file_takes_nothing_from_the_environment),
      cmocka_unit_test(what_is_wrong_with_a_variable_is_an_error),
      cmocka_unit_test(an_empty_variable_and_one_that_names_nothing_change_nothing),
      cmocka_unit_test(a_change_of_the_text_looks_past_the_environment),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
