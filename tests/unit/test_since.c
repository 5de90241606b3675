/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_since.c - what --since takes, and that it takes nothing else.
 */
#include "agentclient/cli/since.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOW 1800000000 /* 2027-01-15T08:00:00Z */

static void good(void **state) {
  (void)state;
  static const struct {
    const char *text;
    time_t t;
  } cases[] = {
      {"0s", NOW},
      {"90s", NOW - 90},
      {"15m", NOW - 900},
      {"24h", NOW - 86400},
      {"7d", NOW - 7 * 86400},
      {"1000000d", 0},
      {"2027-01-15T08:00:00Z", NOW},
      {"2027-01-15t08:00:00z", NOW},
      {"2027-01-15 07:59:59.999999Z", NOW - 1},
      {"2027-01-15T09:00:00+01:00", NOW},
      {"2027-01-15T02:30:00-05:30", NOW},
      {"2027-01-15", NOW - 8 * 3600},
      {"1970-01-01", 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    time_t t = -1;
    assert_int_equal(since_parse(cases[i].text, NOW, &t), 0);
    assert_int_equal(t, cases[i].t);
  }
}

static void bad(void **state) {
  (void)state;
  static const char *const cases[] = {"",
                                      "s",
                                      "15",
                                      "-15m",
                                      " 15m",
                                      "15 m",
                                      "15mm",
                                      "15ms",
                                      "99999999999999999999d",
                                      "yesterday",
                                      "2027-01-15T08:00:01Z", /* in the future */
                                      "2027-01-15T07:00:00",  /* in whose zone? */
                                      "2027-01-15T07:00Z",
                                      "2027-01-15T07:00:00+1:00",
                                      "2027-01-15T07:00:00+01:00x",
                                      "2027-01-15T07:00:00+0100",
                                      "2027-01-15T07:00:00Zz",
                                      "2027-1-15",
                                      "2027-13-01",
                                      "27-01-15"};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    time_t t = 4711;
    assert_int_equal(since_parse(cases[i], NOW, &t), -1);
    assert_int_equal(t, 4711);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(good), cmocka_unit_test(bad)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
