/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_policy_hidden.c - are rules that can never match found, also where several earlier ones hide them together,
 * and are no others reported?
 */
#include "agentclient/policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char said[65536];

static void say(void *arg, unsigned line, unsigned col, const char *text) {
  size_t n = strlen(said);
  (void)arg;
  snprintf(said + n, sizeof said - n, "%u:%u: %s\n", line, col, text);
}

static struct policy *look(const char *text) {
  char why[512];
  struct policy *p = policy_parse("t.yaml", text, strlen(text), NULL, NULL, why, sizeof why);
  if (!p)
    fail_msg("%s\n%s", why, text);
  said[0] = '\0';
  assert_int_equal(policy_warnings(p, say, NULL), 0);
  return p;
}

static void warned(const char *text, const char *want) {
  policy_unref(look(text));
  if (strncmp(said, want, strlen(want)) != 0 || (!*want && *said))
    fail_msg("%s\nsaid   %swanted %s", text, said, want);
}

static void one_earlier_rule_hides_a_later_one_and_is_named(void **state) {
  (void)state;
  warned("listen:\n- {port: 1-10, mode: off}\n- {port: 5, mode: off}",
         "3:3: rule 'listen 5' never matches: rule 'listen 1-10' (line 2) hides all of it;");
  warned("connect:\n- {name: all, to: '*:80', mode: off}\n- {to: '10.0.0.0/8:80', mode: off}",
         "3:3: rule 'connect 10.0.0.0/8:80' never matches: rule 'all' (line 2) hides all of it;");
  warned("connect:\n- {name: all, to: '*:80', mode: off}\n- {to: 'web.test:80', mode: off}",
         "3:3: rule 'connect web.test:80' never matches: rule 'all' (line 2) hides");
  warned("connect:\n- {to: 'web.test:1-100', mode: off}\n- {to: 'Web.test:80', mode: off}",
         "3:3: rule 'connect Web.test:80' never matches: rule 'connect web.test:1-100' (line 2) hides");
  warned("connect:\n- {to: '[::]/0:1-65535', mode: off}\n- {to: '0.0.0.0/0:80', mode: off}",
         "3:3: rule 'connect 0.0.0.0/0:80' never matches");
}

static void several_earlier_rules_hide_a_later_one_together(void **state) {
  (void)state;
  warned("connect:\n- {name: a, to: '10.0.0.0/9:80', mode: off}\n- {name: b, to: '10.128.0.0/9:80', mode: off}\n"
         "- {name: c, to: '10.0.0.0/8:80', mode: off}",
         "4:3: rule 'c' never matches: rule 'a' (line 2), rule 'b' (line 3) together hide all of it;");
  warned("listen:\n- {name: a, port: 1-10, mode: off}\n- {name: b, port: 11-20, mode: off}\n"
         "- {name: c, port: 5-15, mode: off}",
         "4:3: rule 'c' never matches: rule 'a' (line 2), rule 'b' (line 3) together hide all of it;");
  warned("connect:\n- {name: a, to: 'web.test:1-10', mode: off}\n- {name: b, to: '*:11-20', mode: off}\n"
         "- {name: c, to: 'web.test:5-15', mode: off}",
         "4:3: rule 'c' never matches: rule 'a' (line 2), rule 'b' (line 3) together hide");
}

static void a_part_of_a_rule_is_named_with_its_place(void **state) {
  (void)state;
  warned("listen:\n- {port: 1-10, mode: off}\n- {port: [5, 11], mode: off}",
         "3:11: 5 of rule 'listen 5, 11' never matches: rule 'listen 1-10' (line 2) hides");
}

static void what_can_match_is_not_reported(void **state) {
  (void)state;
  static const char *const fine[] = {
      "listen:\n- {port: 5, mode: off}\n- {port: 1-10, mode: off}",
      "listen:\n- {port: 1-10, mode: off}\n- {port: 10-11, mode: off}",
      "listen:\n- {port: [1-10, 5], mode: off}", /* needless, and harmless */
      "listen:\n- {port: 1-10, mode: off}\nconnect:\n- {to: '*:5', mode: off}",
      ("connect:\n- {to: '10.0.0.0/9:80', mode: off}\n- {to: '10.128.0.0/10:80', mode: off}\n"
       "- {to: '10.0.0.0/8:80', mode: off}"),
      "connect:\n- {to: '0.0.0.0/0:80', mode: off}\n- {to: '*:80', mode: off}",
      "connect:\n- {to: '0.0.0.0/0:80', mode: off}\n- {to: 'web.test:80', mode: off}",
      "connect:\n- {to: 'web.test:80', mode: off}\n- {to: '10.0.0.0/8:80', mode: off}",
      "connect:\n- {to: 'web.test:80', mode: off}\n- {to: 'www.web.test:80', mode: off}",
  };
  for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
    warned(fine[i], "");
}

/* Against the table itself, on a corner of the address space that can be tried out whole. */
static void warnings_are_what_trying_every_address_and_port_shows(void **state) {
  (void)state;
  static struct rules_table table;
  srandom(7);
  for (int round = 0; round < 300; round++) {
    char text[2048];
    size_t n = (size_t)snprintf(text, sizeof text, "connect:\n");
    for (int i = 0; i < 6; i++) {
      int prefix = 28 + (int)(random() % 5), lo = 1 + (int)(random() % 4), hi = lo + (int)(random() % 3);
      int addr = (int)(random() % 16) & ~((1 << (32 - prefix)) - 1);
      n += (size_t)snprintf(text + n, sizeof text - n, "- {name: r%d, to: '10.0.0.%d/%d:%d-%d', mode: off}\n", i,
                            addr, prefix, lo, hi);
    }
    char why[512];
    struct policy *p = policy_parse("t.yaml", text, n, NULL, NULL, why, sizeof why);
    if (!p)
      continue; /* the same twice */
    policy_unref(p);
    p = look(text);
    table.magic = RULES_MAGIC;
    assert_int_equal(policy_compile(p, NULL, 0, &table), 0);
    unsigned reached = 0;
    for (uint8_t a = 0; a < 16; a++) {
      for (uint16_t port = 1; port <= 6; port++) {
        uint8_t addr[16] = {[10] = 0xff, 0xff, 10, 0, 0, a};
        struct rules_entry e;
        if (rules_match(&table, RULES_CONNECT, addr, port, &e) == 1)
          reached |= 1u << e.rule;
      }
    }
    for (unsigned i = 0; i < 6; i++) {
      char what[64];
      snprintf(what, sizeof what, "rule 'r%u' never matches", i);
      if ((strstr(said, what) == NULL) != ((reached >> i & 1) == 1))
        fail_msg("%s: %s\n%s", what, said, text);
    }
    policy_unref(p);
  }
}

static void the_work_is_bounded_and_its_end_is_told(void **state) {
  (void)state;
  size_t room = 1 << 20, n = 0;
  char *text = malloc(room);
  assert_non_null(text);
  n += (size_t)snprintf(text, room, "connect:\n");
  for (int i = 1; i <= 4000; i++)
    n += (size_t)snprintf(text + n, room - n, "- {name: r%d, to: '10.%d.0.0/9:%d', mode: off}\n", i, i % 2 * 128,
                          1 + i / 2);
  for (int i = 0; i < 5; i++)
    n += (size_t)snprintf(text + n, room - n, "- {name: last%d, to: '10.0.0.0/8:2-%d', mode: off}\n", i, 2000 - i);
  policy_unref(look(text));
  assert_non_null(strstr(said, "not all rules were looked at"));
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_earlier_rule_hides_a_later_one_and_is_named),
      cmocka_unit_test(several_earlier_rules_hide_a_later_one_together),
      cmocka_unit_test(a_part_of_a_rule_is_named_with_its_place),
      cmocka_unit_test(what_can_match_is_not_reported),
      cmocka_unit_test(warnings_are_what_trying_every_address_and_port_shows),
      cmocka_unit_test(the_work_is_bounded_and_its_end_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
