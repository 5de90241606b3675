/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rules_table.c - does who looks into the shared rules while they are rewritten see one policy or the other, and
 * never a piece of both or nothing?
 */
#include "support_sanitizer.h"
#include "agentclient/daemon/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define ROUNDS 200000

static const uint8_t address[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};

/* In policy n the port is covered by entry n, behind n that do not match. All that it says is n. */
static void fill(struct rules_table *t, uint32_t n) {
  memset(t->entry, 0, 8 * sizeof t->entry[0]);
  for (uint32_t i = 0; i <= n; i++) {
    t->entry[i] = (struct rules_entry){.kind = RULES_LISTEN, .port_lo = 1, .port_hi = 1};
    if (i == n)
      t->entry[i] = (struct rules_entry){.kind = RULES_LISTEN,
                                         .mode = RULES_ENFORCE,
                                         .port_lo = 6379,
                                         .port_hi = 6379,
                                         .rule = n,
                                         .flags = n,
                                         .deny_errno = (int32_t)n};
  }
  t->count = n + 1;
}

static struct config *config_with_table(void) {
  struct config *c = calloc(1, sizeof *c);
  c->rules = calloc(1, sizeof *c->rules);
  c->rules->magic = RULES_MAGIC;
  fill(c->rules, 0);
  return c;
}

static void config_end(struct config *c) {
  free(c->rules);
  free(c);
}

static _Atomic bool over;

static void *rewrite(void *arg) {
  struct config *c = arg;
  for (uint32_t i = 0; !atomic_load(&over); i++) {
    config_rules_lock(c);
    fill(c->rules, i % 7);
    config_rules_unlock(c);
  }
  return NULL;
}

static void a_reader_sees_one_policy_as_a_whole(void **state) {
  (void)state;
  SKIP_UNDER(UNDER_TSAN, "a sequence lock is a data race by its nature: what was torn is read again");
  struct config *c = config_with_table();
  pthread_t writer;
  unsigned seen[7] = {0};
  atomic_store(&over, false);
  assert_int_equal(pthread_create(&writer, NULL, rewrite, c), 0);
  /* On a busy machine the writer may not get to run for a while. */
  unsigned several = 0;
  for (uint32_t i = 0; i < ROUNDS || several < 2; i++) {
    struct rules_entry e;
    assert_int_equal(rules_match(c->rules, RULES_LISTEN, address, 6379, &e), 1);
    assert_int_equal(e.mode, RULES_ENFORCE);
    assert_int_equal(e.rule, e.flags);
    assert_int_equal(e.rule, (uint32_t)e.deny_errno);
    several += seen[e.rule % 7]++ == 0;
  }
  atomic_store(&over, true);
  pthread_join(writer, NULL);
  config_end(c);
}

/* For longer than a reader waits for one writing: each ends, and the next has begun before anybody looks. */
static void *rewrite_without_pause(void *arg) {
  struct config *c = arg;
  for (int i = 0; i < 150; i++) {
    usleep(10000);
    fill(c->rules, 1);
    config_rules_unlock(c);
    config_rules_lock(c);
  }
  config_rules_unlock(c);
  return NULL;
}

static void many_writings_are_not_one_that_never_ends(void **state) {
  (void)state;
  SKIP_UNDER(UNDER_TSAN, "a sequence lock is a data race by its nature: what was torn is read again");
  struct config *c = config_with_table();
  struct rules_entry e;
  pthread_t writer;
  config_rules_lock(c);
  assert_int_equal(pthread_create(&writer, NULL, rewrite_without_pause, c), 0);
  assert_int_equal(rules_match(c->rules, RULES_LISTEN, address, 6379, &e), 1);
  assert_int_equal(e.rule, 1);
  pthread_join(writer, NULL);
  config_end(c);
}

/* It leaves the table odd: that is an error, and nobody takes it for "no rule". */
static void a_writer_that_died_is_an_error(void **state) {
  (void)state;
  struct config *c = config_with_table();
  struct rules_entry e;
  config_rules_lock(c);
  assert_int_equal(rules_match(c->rules, RULES_LISTEN, address, 6379, &e), -1);
  assert_int_equal(rules_match(c->rules, RULES_LISTEN, address, 9, &e), -1);
  config_rules_unlock(c);
  assert_int_equal(rules_match(c->rules, RULES_LISTEN, address, 6379, &e), 1);
  config_end(c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_reader_sees_one_policy_as_a_whole),
      cmocka_unit_test(many_writings_are_not_one_that_never_ends),
      cmocka_unit_test(a_writer_that_died_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
