/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which names does an address go by? Those the program asked for, the newest first, within bounds; and what a rule
 * names is not pushed out by what no rule names.
 */
#include "shim/hosts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Every test has addresses of its own: 10.test.x.y. */
static unsigned net;

static void record(const char *asked, unsigned host) {
  char name[HOSTS_NAME];
  uint32_t in = htonl(0x0a000000u | net << 16 | host);
  if (hosts_name(asked, name))
    hosts_record(name, AF_INET, &in);
}

static struct rules_hosts names_of(unsigned host) {
  uint8_t addr[16] = {[10] = 0xff, [11] = 0xff, 10, (uint8_t)net, (uint8_t)(host >> 8), (uint8_t)host};
  struct rules_hosts h;
  hosts_lookup(addr, &h);
  return h;
}

static bool has(unsigned host, const char *name) {
  struct rules_hosts h = names_of(host);
  for (unsigned i = 0; i < h.count; i++)
    if (strcmp(h.name[i], name) == 0)
      return true;
  return false;
}

static struct rules_table *rules_naming(const char *name) {
  struct rules_table *t = calloc(1, sizeof *t);
  t->magic = RULES_MAGIC;
  t->generation = 1;
  t->count = 1;
  t->entry[0].kind = RULES_CONNECT;
  t->entry[0].host = 1;
  strcpy(t->names, name);
  return t;
}

static int next_net(void **state) {
  (void)state;
  net++;
  return 0;
}

static void a_name_is_lower_case_and_without_its_last_dot(void **state) {
  (void)state;
  char name[HOSTS_NAME];
  assert_true(hosts_name("DB.Internal.", name));
  assert_string_equal(name, "db.internal");
  assert_true(hosts_name("localhost", name));
  assert_true(hosts_name("10.example", name));
}

static void addresses_and_impossible_names_are_none(void **state) {
  (void)state;
  char name[HOSTS_NAME], longest[300];
  static const char *const bad[] = {NULL,  "",           ".",   "10.0.0.1", "127.1", "0x7f000001",
                                    "::1", "fe80::1%lo", "a b", "a\n",      "a\x7f"};
  for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_false(hosts_name(bad[i], name));
  memset(longest, 'a', sizeof longest);
  longest[256] = 0;
  assert_false(hosts_name(longest, name));
  longest[255] = 0;
  assert_true(hosts_name(longest, name));
  assert_int_equal(strlen(name), 255);
}

static void both_families_are_known_in_the_rules_form(void **state) {
  (void)state;
  struct in6_addr six;
  uint8_t key[16];
  struct rules_hosts h;
  inet_pton(AF_INET6, "fd00::7", &six);
  memcpy(key, &six, 16);
  hosts_record("six.test", AF_INET6, &six);
  hosts_record("unix.test", AF_UNIX, "nothing");
  hosts_lookup(key, &h);
  assert_int_equal(h.count, 1);
  assert_string_equal(h.name[0], "six.test");
  record("four.test", 1);
  assert_true(has(1, "four.test"));
  assert_int_equal(names_of(2).count, 0);
}

static void the_newest_name_is_first_and_a_fifth_pushes_the_oldest_out(void **state) {
  (void)state;
  record("a.test", 1);
  record("b.test", 1);
  record("A.test.", 1);
  struct rules_hosts h = names_of(1);
  assert_int_equal(h.count, 2);
  assert_string_equal(h.name[0], "a.test");
  assert_string_equal(h.name[1], "b.test");
  record("c.test", 1);
  record("d.test", 1);
  record("e.test", 1);
  h = names_of(1);
  assert_int_equal(h.count, RULES_HOSTS_MAX);
  assert_string_equal(h.name[0], "e.test");
  assert_false(has(1, "b.test"));
  assert_true(has(1, "a.test"));
}

static void *ask_for_other(void *arg) {
  (void)arg;
  record("other.test", 1);
  assert_string_equal(names_of(1).name[0], "other.test");
  return NULL;
}

static void a_threads_own_name_comes_first(void **state) {
  (void)state;
  pthread_t t;
  record("mine.test", 1);
  pthread_create(&t, NULL, ask_for_other, NULL);
  pthread_join(t, NULL);
  struct rules_hosts h = names_of(1);
  assert_int_equal(h.count, 2);
  assert_string_equal(h.name[0], "mine.test");
  assert_string_equal(h.name[1], "other.test");
}

static void the_oldest_address_makes_room_and_one_in_use_stays(void **state) {
  (void)state;
  for (unsigned i = 0; i < HOSTS_ADDRESSES; i++)
    record("many.test", i);
  assert_true(has(0, "many.test")); /* looked up: it is in use */
  record("many.test", HOSTS_ADDRESSES);
  assert_true(has(0, "many.test"));
  assert_false(has(1, "many.test"));
  assert_true(has(HOSTS_ADDRESSES, "many.test"));
}

static void what_a_rule_names_is_not_pushed_out(void **state) {
  (void)state;
  struct rules_table *t = rules_naming("db.test");
  record("db.test", 1);
  hosts_rules(t);
  for (unsigned i = 0; i < RULES_HOSTS_MAX + 3; i++) {
    char name[32];
    snprintf(name, sizeof name, "n%u.test", i);
    record(name, 1);
  }
  assert_true(has(1, "db.test"));
  struct rules_hosts h = names_of(1);
  assert_int_equal(h.count, RULES_HOSTS_MAX);
  record("other.test", 2);
  for (unsigned i = 0; i < 2 * HOSTS_ADDRESSES; i++)
    record("many.test", 1000 + i);
  assert_true(has(1, "db.test"));
  assert_false(has(2, "other.test"));
  hosts_rules(NULL);
  free(t);
}

/* A reload names another host: what was recorded before counts as well. */
static void new_rules_are_noticed(void **state) {
  (void)state;
  struct rules_table *t = rules_naming("first.test");
  hosts_rules(t);
  record("second.test", 1);
  strcpy(t->names, "second.test");
  t->generation = 2;
  for (unsigned i = 0; i < 2 * HOSTS_ADDRESSES; i++)
    record("many.test", 1000 + i);
  assert_true(has(1, "second.test"));
  hosts_rules(NULL);
  free(t);
}

static void *ask_much(void *arg) {
  char name[32];
  unsigned id = (unsigned)(uintptr_t)arg;
  snprintf(name, sizeof name, "t%u.test", id);
  for (unsigned i = 0; i < 2000; i++) {
    record(name, id);
    record(name, 100 + i % 50);
    struct rules_hosts h = names_of(id);
    if (h.count != 1 || strcmp(h.name[0], name) != 0 || strcmp(names_of(100 + i % 50).name[0], name) != 0)
      abort();
  }
  return NULL;
}

static void threads_do_not_get_in_each_others_way(void **state) {
  (void)state;
  pthread_t t[4];
  for (unsigned i = 0; i < 4; i++)
    pthread_create(&t[i], NULL, ask_much, (void *)(uintptr_t)i);
  for (unsigned i = 0; i < 4; i++)
    pthread_join(t[i], NULL);
  assert_int_equal(names_of(100).count, 4);
}

static _Atomic bool stop;
static void *ask_on(void *arg) {
  (void)arg;
  while (!stop)
    record("busy.test", 7);
  return NULL;
}

static void a_forked_child_knows_what_its_parent_knew(void **state) {
  (void)state;
  pthread_t t;
  record("before.test", 1);
  stop = false;
  pthread_create(&t, NULL, ask_on, NULL);
  for (int i = 0; i < 50; i++) {
    hosts_before_fork();
    pid_t pid = fork();
    if (pid == 0) {
      hosts_after_fork_child();
      alarm(10);
      record("child.test", 2);
      _exit(has(1, "before.test") && has(2, "child.test") ? 0 : 1);
    }
    hosts_after_fork_parent();
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
  }
  stop = true;
  pthread_join(t, NULL);
  assert_false(has(2, "child.test"));
}

int main(void) {
#define T(f) cmocka_unit_test_setup(f, next_net)
  const struct CMUnitTest tests[] = {
      T(a_name_is_lower_case_and_without_its_last_dot),
      T(addresses_and_impossible_names_are_none),
      T(both_families_are_known_in_the_rules_form),
      T(the_newest_name_is_first_and_a_fifth_pushes_the_oldest_out),
      T(a_threads_own_name_comes_first),
      T(what_a_rule_names_is_not_pushed_out),
      T(new_rules_are_noticed),
      T(the_oldest_address_makes_room_and_one_in_use_stays),
      T(threads_do_not_get_in_each_others_way),
      T(a_forked_child_knows_what_its_parent_knew),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
