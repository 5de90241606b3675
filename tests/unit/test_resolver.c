/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Are the addresses of wanted names known, kept when a name server goes away, and nobody's any more when no rule has
 * the name? With a name server that says what the test tells it to.
 */
#include "agentclient/daemon/resolver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* -- the name server -- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static unsigned first, addresses; /* every name has 10.0.0.first and so many behind it */
static unsigned lookups;
static bool stuck; /* lookups of stuck.test take until this is false */

static void serve(const char *name, struct resolver_answer *out) {
  pthread_mutex_lock(&lock);
  lookups++;
  while (stuck && strcmp(name, "stuck.test") == 0)
    pthread_cond_wait(&moved, &lock);
  out->error = addresses ? 0 : EAI_NONAME;
  out->count = addresses;
  for (unsigned i = 0; i < addresses; i++) {
    const uint8_t addr[16] = {[10] = 0xff, [11] = 0xff, 10, 0, (uint8_t)((first + i) >> 8), (uint8_t)(first + i)};
    memcpy(out->addr[i], addr, 16);
  }
  pthread_mutex_unlock(&lock);
}

static void server(unsigned from, unsigned count) {
  pthread_mutex_lock(&lock);
  first = from;
  addresses = count;
  pthread_mutex_unlock(&lock);
}

static void hang(void) {
  pthread_mutex_lock(&lock);
  stuck = true;
  pthread_mutex_unlock(&lock);
}

static void release(void) {
  pthread_mutex_lock(&lock);
  stuck = false;
  pthread_cond_broadcast(&moved);
  pthread_mutex_unlock(&lock);
}

static unsigned looked_up(void) {
  pthread_mutex_lock(&lock);
  unsigned n = lookups;
  pthread_mutex_unlock(&lock);
  return n;
}

/* -- the control thread -- */

static struct event_base *base;
static struct post *post;
static struct resolver *resolver;
static unsigned changes;

static void on_change(void *arg) {
  (void)arg;
  changes++;
}

static int setup(void **state) {
  (void)state;
  changes = lookups = 0;
  server(1, 2);
  base = event_base_new();
  post = post_new(base);
  resolver = resolver_new(base, post, serve, on_change, NULL);
  return !resolver;
}

static int teardown(void **state) {
  (void)state;
  release();
  resolver_free(resolver);
  post_free(post);
  event_base_free(base);
  return 0;
}

static void want(const char *a, const char *b) {
  resolver_begin(resolver);
  if (a)
    resolver_want(resolver, a);
  if (b)
    resolver_want(resolver, b);
  resolver_end(resolver);
}

#define turn_until(condition)                                                                                        \
  do {                                                                                                               \
    for (int tries_ = 0; !(condition) && tries_ < 2000; tries_++) {                                                  \
      struct timeval tv_ = {0, 5000};                                                                                \
      event_base_loopexit(base, &tv_);                                                                               \
      event_base_dispatch(base);                                                                                     \
    }                                                                                                                \
    assert_true(condition);                                                                                          \
  } while (0)

static size_t count_of(const char *name) {
  struct policy_addresses a;
  return resolver_found(resolver, name, &a) ? a.count : 0;
}

static bool has(const char *name, unsigned last) {
  struct policy_addresses a;
  for (size_t i = 0; resolver_found(resolver, name, &a) && i < a.count; i++)
    if (a.addr[i][10] == 0xff && a.addr[i][12] == 10 && a.addr[i][14] * 256u + a.addr[i][15] == last)
      return true;
  return false;
}

/* Another lookup of a.test, as soon as one may be asked for. */
static void ask_again(void) {
  unsigned before = looked_up();
  for (int i = 0; looked_up() == before && i < 2000; i++) {
    resolver_again(resolver, "a.test");
    struct timeval tv = {0, 5000};
    event_base_loopexit(base, &tv);
    event_base_dispatch(base);
  }
  turn_until(!resolver_pending(resolver, "a.test"));
}

static void a_wanted_name_has_its_addresses(void **state) {
  (void)state;
  assert_false(resolver_pending(resolver, "a.test"));
  want("a.test", "b.test");
  assert_true(resolver_pending(resolver, "a.test"));
  assert_int_equal(count_of("a.test"), 0);
  turn_until(count_of("a.test") == 2 && count_of("b.test") == 2);
  assert_false(resolver_pending(resolver, "a.test"));
  assert_true(has("a.test", 1) && has("a.test", 2));
  assert_int_equal(count_of("c.test"), 0);
  assert_int_equal(changes, 2);
  want("a.test", "a.test");
  assert_int_equal(count_of("a.test"), 2);
  assert_int_equal(count_of("b.test"), 0);
  assert_int_equal(looked_up(), 2);
}

static void an_address_that_left_the_answer_stays_for_a_while(void **state) {
  (void)state;
  want("a.test", NULL);
  turn_until(count_of("a.test") == 2);
  server(100, 1);
  ask_again();
  assert_int_equal(count_of("a.test"), 3);
  assert_true(has("a.test", 1) && has("a.test", 100));
}

static void a_name_server_that_goes_away_uncovers_nothing(void **state) {
  (void)state;
  want("a.test", NULL);
  turn_until(count_of("a.test") == 2);
  server(0, 0);
  ask_again();
  assert_int_equal(count_of("a.test"), 2);
}

static void a_name_that_does_not_resolve_is_not_waited_for_again(void **state) {
  (void)state;
  server(0, 0);
  want("a.test", NULL);
  turn_until(!resolver_pending(resolver, "a.test"));
  assert_int_equal(changes, 1);
  assert_int_equal(count_of("a.test"), 0);
  server(5, 1);
  turn_until(count_of("a.test") == 1); /* of its own accord */
  assert_int_equal(changes, 2);
}

static void the_newest_addresses_stay(void **state) {
  (void)state;
  server(1, RESOLVER_ADDRESSES);
  want("a.test", NULL);
  turn_until(count_of("a.test") == RESOLVER_ADDRESSES);
  server(1000, RESOLVER_ADDRESSES / 2);
  ask_again();
  assert_int_equal(count_of("a.test"), RESOLVER_ADDRESSES);
  for (unsigned i = 0; i < RESOLVER_ADDRESSES / 2; i++)
    assert_true(has("a.test", 1000 + i));
}

static void a_name_that_hangs_holds_up_no_other(void **state) {
  (void)state;
  hang();
  want("stuck.test", "b.test");
  turn_until(count_of("b.test") == 2);
  turn_until(!resolver_pending(resolver, "stuck.test")); /* nobody waits for it any more; it goes on */
  assert_int_equal(count_of("stuck.test"), 0);
  release();
  turn_until(count_of("stuck.test") == 2);
}

/* What hangs when the resolver goes ends by itself, and nobody is told. */
static void the_resolver_may_go_while_a_lookup_hangs(void **state) {
  (void)state;
  hang();
  want("stuck.test", NULL);
  turn_until(looked_up() == 1);
  resolver_free(resolver);
  resolver = NULL;
  release();
  assert_int_equal(changes, 0);
}

static void an_answer_for_a_forgotten_name_is_dropped(void **state) {
  (void)state;
  hang();
  want("stuck.test", NULL);
  turn_until(looked_up() == 1);
  want("b.test", NULL);
  release();
  turn_until(count_of("b.test") == 2);
  assert_int_equal(count_of("stuck.test"), 0);
}

static void the_c_library_is_asked(void **state) {
  (void)state;
  static struct resolver_answer a;
  resolver_getaddrinfo("localhost", &a);
  assert_int_equal(a.error, 0);
  assert_true(a.count > 0);
  resolver_getaddrinfo("no host name", &a);
  assert_int_not_equal(a.error, 0);
  assert_int_equal(a.count, 0);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      T(a_wanted_name_has_its_addresses),
      T(an_address_that_left_the_answer_stays_for_a_while),
      T(a_name_server_that_goes_away_uncovers_nothing),
      T(a_name_that_does_not_resolve_is_not_waited_for_again),
      T(the_newest_addresses_stay),
      T(a_name_that_hangs_holds_up_no_other),
      T(the_resolver_may_go_while_a_lookup_hangs),
      T(an_answer_for_a_forgotten_name_is_dropped),
      T(the_c_library_is_asked),
  };
  evthread_use_pthreads();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
