/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_policy_edit.c - is one rule's mode changed in the text, and not a byte beside it, however the file is written?
 */
#include "agentclient/policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *vars(void *arg, const char *name) {
  (void)arg;
  return strcmp(name, "MODE") == 0 ? "off" : strcmp(name, "PORT") == 0 ? "6379" : NULL;
}

#define KEEP UINT32_MAX
struct edit {
  const char *before, *rule;
  enum rules_mode mode;
  uint32_t percent;
  const char *after;
};

static void edited(const struct edit *e, size_t count) {
  for (size_t i = 0; i < count; i++, e++) {
    char why[512] = "", *out = NULL;
    size_t len = 0;
    if (policy_edit_mode("t.yaml", e->before, strlen(e->before), vars, NULL, e->rule, e->mode, e->percent, &out, &len,
                         why, sizeof why) != 0)
      fail_msg("%s\n%s", why, e->before);
    assert_int_equal(len, strlen(out));
    assert_string_equal(out, e->after);
    free(out);
  }
}
#define EDITED(list) edited(list, sizeof list / sizeof *list)

static void a_mode_in_a_block_is_replaced_and_comments_stay(void **state) {
  (void)state;
  static const struct edit e[] = {
      {"# caf\xc3\xa9 \xe2\x82\xac\nlisten:\n  - port: 1   # one\n    mode: off  # until Friday\n    allow: "
       "[spiffe://d/a]\n",
       "listen 1", RULES_PERMISSIVE, KEEP,
       "# caf\xc3\xa9 \xe2\x82\xac\nlisten:\n  - port: 1   # one\n    mode: permissive  # until Friday\n    allow: "
       "[spiffe://d/a]\n"},
      {"connect:\n- {to: '*:1', mode: off}\n- name: x\n  to: '*:2'\n  allow: [spiffe://d/a]\n  mode: enforce", "x",
       RULES_OFF, KEEP,
       "connect:\n- {to: '*:1', mode: off}\n- name: x\n  to: '*:2'\n  allow: [spiffe://d/a]\n  mode: off"},
      {"listen:\r\n- port: 1\r\n  mode: 'off'\r\n  allow: [spiffe://d/a]\r\n", "listen 1", RULES_ENFORCE, KEEP,
       "listen:\r\n- port: 1\r\n  mode: 'enforce'\r\n  allow: [spiffe://d/a]\r\n"},
      {"listen: [{port: 1, mode: \"${MODE}\", allow: [spiffe://d/a]}]", "listen 1", RULES_ENFORCE, KEEP,
       "listen: [{port: 1, mode: \"enforce\", allow: [spiffe://d/a]}]"},
      {"listen: [{port: 1, mode: enforce, allow: [spiffe://d/a]}]", "listen 1", RULES_ENFORCE, KEEP,
       "listen: [{port: 1, mode: enforce, allow: [spiffe://d/a]}]"},
  };
  EDITED(e);
}

static void a_mode_that_was_left_out_is_put_in(void **state) {
  (void)state;
  static const struct edit e[] = {
      {"listen:\n  - port: ${PORT}  # redis\n    allow:\n      - spiffe://d/a\n", "listen 6379", RULES_OFF, KEEP,
       "listen:\n  - port: ${PORT}  # redis\n    mode: off\n    allow:\n      - spiffe://d/a\n"},
      {"listen:\n-   port: 1\n    allow: [spiffe://d/a]", "listen 1", RULES_OFF, KEEP,
       "listen:\n-   port: 1\n    mode: off\n    allow: [spiffe://d/a]"},
      {"listen:\n  - port: [ 1,\n      2 ]  # both\n    allow: [spiffe://d/a]\n", "listen 1, 2", RULES_OFF, KEEP,
       "listen:\n  - mode: off\n    port: [ 1,\n      2 ]  # both\n    allow: [spiffe://d/a]\n"},
      {"listen:\n  - allow:\n      - spiffe://d/a\n      # the end\n    port: 1\n", "listen 1", RULES_OFF, KEEP,
       "listen:\n  - mode: off\n    allow:\n      - spiffe://d/a\n      # the end\n    port: 1\n"},
      {"listen: [{port: 1, allow: [spiffe://d/a]}]", "listen 1", RULES_OFF, KEEP,
       "listen: [{port: 1, mode: off, allow: [spiffe://d/a]}]"},
      {"listen:\n  - { allow: [spiffe://d/a], # who\n      port: 1, }\n", "listen 1", RULES_PERMISSIVE, KEEP,
       "listen:\n  - { allow: [spiffe://d/a], mode: permissive, # who\n      port: 1, }\n"},
      {"{\"listen\":[{\"port\":1,\"allow\":[\"spiffe://d/a\"]}]}", "listen 1", RULES_OFF, KEEP,
       "{\"listen\":[{\"port\":1, \"mode\": \"off\",\"allow\":[\"spiffe://d/a\"]}]}"},
      {"listen:\r\n- port: 1\r\n  allow: [spiffe://d/a]", "listen 1", RULES_OFF, KEEP,
       "listen:\r\n- port: 1\r\n  mode: off\r\n  allow: [spiffe://d/a]"},
      {"listen:\n- allow: [spiffe://d/a]\n  port: 1", "listen 1", RULES_OFF, KEEP,
       "listen:\n- mode: off\n  allow: [spiffe://d/a]\n  port: 1"},
  };
  EDITED(e);
}

static void bytes_that_are_not_one_a_character_are_counted_right(void **state) {
  (void)state;
  static const struct edit e[] = {
      {"\xef\xbb\xbf# BOM\nlisten:\n- port: 1\n  allow: [spiffe://d/a]\n  mode: off\n", "listen 1", RULES_ENFORCE,
       KEEP, "\xef\xbb\xbf# BOM\nlisten:\n- port: 1\n  allow: [spiffe://d/a]\n  mode: enforce\n"},
      {"# \xf0\x9f\x94\x92 lock\nlisten:\n- name: '\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\x92'\n  "
       "port: 1\n  "
       "mode: off # \xc3\xa9\n  allow: [spiffe://d/a]",
       "\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\x92", RULES_PERMISSIVE, KEEP,
       "# \xf0\x9f\x94\x92 lock\nlisten:\n- name: '\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\x92'\n  "
       "port: 1\n  "
       "mode: permissive # \xc3\xa9\n  allow: [spiffe://d/a]"},
      {"listen:\r- port: 1\r  allow: [spiffe://d/a]\r", "listen 1", RULES_OFF, KEEP,
       "listen:\r- port: 1\r  mode: off\r  allow: [spiffe://d/a]\r"},
  };
  EDITED(e);
}

static void a_percentage_goes_with_the_mode(void **state) {
  (void)state;
  static const struct edit e[] = {
      {"connect:\n  - to: '*:1'\n    mode: canary   # slowly\n    percent: 5 # more later\n    allow: "
       "[spiffe://d/a]\n",
       "connect *:1", RULES_CANARY, 50,
       "connect:\n  - to: '*:1'\n    mode: canary   # slowly\n    percent: 50 # more later\n    allow: "
       "[spiffe://d/a]\n"},
      {"connect:\n  - to: '*:1'\n    allow: [spiffe://d/a]\n", "connect *:1", RULES_CANARY, 10,
       "connect:\n  - to: '*:1'\n    mode: canary\n    percent: 10\n    allow: [spiffe://d/a]\n"},
      {"connect: [{to: '*:1', allow: [spiffe://d/a]}]", "connect *:1", RULES_CANARY, 0,
       "connect: [{to: '*:1', mode: canary, percent: 0, allow: [spiffe://d/a]}]"},
      {"connect:\n  - to: '*:1'\n    mode: canary\n    percent: 5\n    allow: [spiffe://d/a]\n", "connect *:1",
       RULES_ENFORCE, KEEP,
       "connect:\n  - to: '*:1'\n    mode: enforce\n    percent: 5\n    allow: [spiffe://d/a]\n"},
  };
  EDITED(e);
}

static void the_right_rule_among_many_is_changed(void **state) {
  (void)state;
  static const struct edit e[] = {
      {"connect:\n- {to: '*:1', name: c0, mode: off, allow: [spiffe://d/a]}\n- {to: '*:2', name: c1, mode: off, "
       "allow: "
       "[spiffe://d/a]}\nlisten:\n- {port: 1, name: l0, mode: off, allow: [spiffe://d/a]}\n- {port: 2, name: l1, "
       "mode: "
       "off, allow: [spiffe://d/a]}\n",
       "c1", RULES_ENFORCE, KEEP,
       "connect:\n- {to: '*:1', name: c0, mode: off, allow: [spiffe://d/a]}\n- {to: '*:2', name: c1, mode: enforce, "
       "allow: [spiffe://d/a]}\nlisten:\n- {port: 1, name: l0, mode: off, allow: [spiffe://d/a]}\n- {port: 2, name: "
       "l1, mode: off, allow: [spiffe://d/a]}\n"},
      {"connect:\n- {to: '*:1', name: c0, mode: off}\nlisten:\n- {port: 1, name: l0, mode: off}\n- {port: 2, name: "
       "l1, "
       "mode: off, allow: [spiffe://d/a]}\n",
       "l1", RULES_ENFORCE, KEEP,
       "connect:\n- {to: '*:1', name: c0, mode: off}\nlisten:\n- {port: 1, name: l0, mode: off}\n- {port: 2, name: "
       "l1, "
       "mode: enforce, allow: [spiffe://d/a]}\n"},
  };
  EDITED(e);
}

static void what_cannot_be_done_says_why_and_gives_nothing_out(void **state) {
  (void)state;
  static const struct {
    const char *text, *rule;
    enum rules_mode mode;
    uint32_t percent;
    const char *says;
  } cases[] = {
      {"listen: [{port: 1}]", "listen 1", RULES_OFF, KEEP, "t.yaml:1:10: a rule with mode: enforce needs allow:"},
      {"listen: [{port: 1, mode: off}]", "listen 2", RULES_OFF, KEEP, "there is no rule 'listen 2'; the rules are:"},
      {"listen: [{port: 1, mode: off}]", "listen 1", RULES_ENFORCE, KEEP, "rule 'listen 1': it has no allow list"},
      {"listen: [{port: 1, mode: off}]", "listen 1", RULES_OFF, 5, "rule 'listen 1': a percentage is for connect"},
      {"listen:\n- port: 1\n  mode: >-\n    off\n  allow: [spiffe://d/a]\n", "listen 1", RULES_ENFORCE, KEEP,
       "t.yaml:2:3: this file is written in a way that is not to be changed by a machine; write there yourself: "
       "mode: "
       "enforce"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char why[512] = "", *out = (char *)1;
    size_t len;
    assert_int_equal(policy_edit_mode("t.yaml", cases[i].text, strlen(cases[i].text), vars, NULL, cases[i].rule,
                                      cases[i].mode, cases[i].percent, &out, &len, why, sizeof why),
                     -1);
    assert_null(out);
    if (strncmp(why, cases[i].says, strlen(cases[i].says)) != 0)
      fail_msg("%s", why);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_mode_in_a_block_is_replaced_and_comments_stay),
      cmocka_unit_test(a_mode_that_was_left_out_is_put_in),
      cmocka_unit_test(bytes_that_are_not_one_a_character_are_counted_right),
      cmocka_unit_test(a_percentage_goes_with_the_mode),
      cmocka_unit_test(the_right_rule_among_many_is_changed),
      cmocka_unit_test(what_cannot_be_done_says_why_and_gives_nothing_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
