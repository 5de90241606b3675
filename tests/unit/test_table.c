/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_table.c - tables line up, and hold no escape sequences where nobody asked for colours.
 */
#include "agentclient/cli/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const headers[] = {"NAME", ">COUNT", "LAST", NULL};

static char *printed(const struct table *t, bool coloured) {
  char *text = NULL;
  size_t len = 0;
  FILE *f = open_memstream(&text, &len);
  assert_non_null(f);
  table_print(t, f, coloured);
  fclose(f);
  return text;
}

static void columns_are_as_wide_as_their_widest_cell(void **state) {
  (void)state;
  struct table *t = table_new(headers);
  table_cell(t, TABLE_RED, "caf\xc3\xa9");
  table_cell(t, TABLE_PLAIN, "%d", 7);
  table_cell(t, TABLE_PLAIN, "%s", "");
  table_cell(t, TABLE_PLAIN, "longer name");
  table_cell(t, TABLE_PLAIN, "%d", 1234567);
  table_cell(t, TABLE_PLAIN, "end");
  char *text = printed(t, false);
  assert_string_equal(text, "NAME           COUNT  LAST\n"
                            "caf\xc3\xa9               7  -\n"
                            "longer name  1234567  end\n");
  free(text);
  text = printed(t, true);
  assert_non_null(strstr(text, "\033[31mcaf\xc3\xa9\033[0m   "));
  free(text);
  table_free(t);
}

static void a_table_without_rows_is_not_printed(void **state) {
  (void)state;
  struct table *t = table_new(headers);
  char *text = printed(t, false);
  assert_string_equal(text, "");
  free(text);
  table_cell(NULL, TABLE_PLAIN, "nobody wants this");
  table_print(NULL, stdout, false);
  table_free(t);
  table_free(NULL);
}

static void sizes_and_durations_are_short(void **state) {
  (void)state;
  char buf[32];
  assert_string_equal(table_bytes(buf, 1023), "1023B");
  assert_string_equal(table_bytes(buf, 1536), "1.5K");
  assert_string_equal(table_bytes(buf, 20u << 20), "20M");
  assert_string_equal(table_bytes(buf, UINT64_MAX), "16E");
  assert_string_equal(table_duration(buf, 999), "999ms");
  assert_string_equal(table_duration(buf, 59999), "59s");
  assert_string_equal(table_duration(buf, 61000), "1m01s");
  assert_string_equal(table_duration(buf, 3661000), "1h01m");
  assert_string_equal(table_duration(buf, 90000000), "1d01h");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(columns_are_as_wide_as_their_widest_cell),
      cmocka_unit_test(a_table_without_rows_is_not_printed),
      cmocka_unit_test(sizes_and_durations_are_short),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
