/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_policy.c - what a valid configuration means: who may talk, which addresses are covered, in which
 * order, and what the defaults are. What is refused is test_policy_errors.c.
 */
#include "agentclient/policy/policy.h"
#include "svidwrap/arena.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static const char *vars(void *arg, const char *name) {
  (void)arg;
  static const char *const known[][2] = {{"PORT", "6379"},
                                         {"EMPTY", ""},
                                         {"DOMAIN", "example.org"},
                                         {"YAMLISH", "spiffe://example.org/a ] # [x: y"},
                                         {"SPIFFE_ENDPOINT_SOCKET", "unix:///env/agent.sock"}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcmp(known[i][0], name) == 0)
      return known[i][1];
  return NULL;
}

static struct policy *parse(const char *text) {
  char why[512];
  struct policy *p = policy_parse("t.yaml", text, strlen(text), vars, NULL, why, sizeof why);
  if (!p)
    fail_msg("%s\n%s", why, text);
  return p;
}

static bool allows(const struct policy *p, uint32_t rule, const char *id) {
  struct spiffeid peer;
  const char *why = NULL;
  assert_int_equal(spiffeid_parse(&peer, id, strlen(id), 0, &why), 0);
  why = NULL;
  bool yes = policy_allows(p, rule, NULL, &peer, &why);
  assert_true(yes || why);
  return yes;
}

static struct rules_table table;

static int compile(const struct policy *p) {
  memset(&table, 0, sizeof table);
  table.magic = RULES_MAGIC;
  return policy_compile(p, NULL, 0, &table);
}

/* Rule that covers this address, -1 if none does. */
static int covered(enum rules_kind kind, const char *ip, uint16_t port) {
  uint8_t addr[16] = {0};
  struct rules_entry e;
  uint16_t got = 0;
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
  struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  if (inet_pton(AF_INET, ip, &in.sin_addr) == 1)
    assert_int_equal(rules_address((struct sockaddr *)&in, sizeof in, addr, &got), 0);
  else if (inet_pton(AF_INET6, ip, &in6.sin6_addr) == 1)
    assert_int_equal(rules_address((struct sockaddr *)&in6, sizeof in6, addr, &got), 0);
  else
    fail_msg("%s is no address", ip);
  return rules_match(&table, kind, addr, got, &e) == 1 ? (int)e.rule : -1;
}

static void deny_wins_over_allow(void **state) {
  (void)state;
  struct policy *p = parse("listen:\n"
                           "  - port: 6379\n"
                           "    allow: [ spiffe://example.org/web, spiffe://example.org/ns/prod/** ]\n"
                           "    deny:  [ spiffe://example.org/ns/prod/batch ]\n");
  struct spiffeid peer;
  const char *why = NULL;
  assert_true(allows(p, 0, "spiffe://example.org/web"));
  assert_true(allows(p, 0, "spiffe://example.org/ns/prod/api"));
  spiffeid_parse(&peer, "spiffe://example.org/ns/prod/batch", 34, 1, &why);
  assert_false(policy_allows(p, 0, NULL, &peer, &why));
  assert_string_equal(why, "denied by deny");
  spiffeid_parse(&peer, "spiffe://example.org/other", 26, 1, &why);
  assert_false(policy_allows(p, 0, NULL, &peer, &why));
  assert_string_equal(why, "not in allow");
  policy_unref(p);
}

static void an_unknown_rule_a_rule_that_is_off_and_an_unset_peer_are_denied(void **state) {
  (void)state;
  struct policy *p = parse("listen: [{port: 1, mode: off}, {port: 2, allow: ['spiffe://example.org/**']}]");
  struct spiffeid nobody;
  const char *why = NULL;
  memset(&nobody, 0, sizeof nobody);
  assert_false(allows(p, 0, "spiffe://example.org/a"));
  assert_true(allows(p, 1, "spiffe://example.org/a"));
  assert_false(allows(p, 2, "spiffe://example.org/a"));
  assert_false(allows(p, UINT32_MAX, "spiffe://example.org/a"));
  assert_false(policy_allows(p, 1, NULL, &nobody, &why));
  assert_null(policy_rule_at(p, 2));
  policy_unref(p);
  p = parse("listen: [{port: 1, mode: off, allow: ['spiffe://example.org/a']}]");
  assert_true(allows(p, 0, "spiffe://example.org/a")); /* staged: who speaks TLS all the same is judged */
  assert_false(allows(p, 0, "spiffe://example.org/b"));
  policy_unref(p);
}

static void ports_are_numbers_ranges_and_lists_of_both(void **state) {
  (void)state;
  struct policy *p = parse("listen: [{port: [6379, 7000-7010, '8000, 8002'], allow: ['spiffe://d/**']},"
                           " {port: 9000-9001, allow: ['spiffe://d/**']}, {port: '${PORT}0', mode: off}]");
  assert_int_equal(compile(p), 0);
  assert_int_equal(covered(RULES_LISTEN, "0.0.0.0", 6379), 0);
  assert_int_equal(covered(RULES_LISTEN, "::", 7000), 0);
  assert_int_equal(covered(RULES_LISTEN, "127.0.0.1", 7010), 0);
  assert_int_equal(covered(RULES_LISTEN, "127.0.0.1", 7011), -1);
  assert_int_equal(covered(RULES_LISTEN, "127.0.0.1", 8000), 0);
  assert_int_equal(covered(RULES_LISTEN, "127.0.0.1", 8001), -1);
  assert_int_equal(covered(RULES_LISTEN, "127.0.0.1", 8002), 0);
  assert_int_equal(covered(RULES_LISTEN, "127.0.0.1", 9001), 1);
  assert_int_equal(covered(RULES_LISTEN, "127.0.0.1", 63790), 2);
  assert_int_equal(covered(RULES_CONNECT, "127.0.0.1", 6379), -1);
  policy_unref(p);
}

static void every_port_may_be_covered_in_both_directions(void **state) {
  (void)state;
  struct policy *p = parse("listen: [{port: 1-65535, allow: ['spiffe://d/**']}]\n"
                           "connect: [{to: '*:1-65535', allow: ['spiffe://d/**']}]");
  assert_int_equal(compile(p), 0);
  assert_int_equal(table.count, 2);
  assert_int_equal(covered(RULES_LISTEN, "127.0.0.1", 1), 0);
  assert_int_equal(covered(RULES_LISTEN, "::1", 65535), 0);
  assert_int_equal(covered(RULES_CONNECT, "10.1.2.3", 1), 1);
  assert_int_equal(covered(RULES_CONNECT, "2001:db8::1", 65535), 1);
  policy_unref(p);
}

static void destinations_are_addresses_and_networks_of_both_families(void **state) {
  (void)state;
  struct policy *p = parse("connect:\n"
                           "  - { to: '10.0.0.0/8:6379,7000-7010', allow: [spiffe://d/a] }\n"
                           "  - { to: ['192.0.2.7:443', '[2001:db8::1]:443'], allow: [spiffe://d/a] }\n"
                           "  - { to: '[fd00::]/12:80', allow: [spiffe://d/a] }\n"
                           "  - { to: '[::ffff:198.51.100.1]:80', allow: [spiffe://d/a] }\n"
                           "  - { to: '0.0.0.0/0:81', allow: [spiffe://d/a] }\n"
                           "  - { to: '*:82', allow: [spiffe://d/a] }\n");
  assert_int_equal(compile(p), 0);
  assert_int_equal(covered(RULES_CONNECT, "10.255.0.1", 6379), 0);
  assert_int_equal(covered(RULES_CONNECT, "10.255.0.1", 7005), 0);
  assert_int_equal(covered(RULES_CONNECT, "::ffff:10.255.0.1", 6379), 0);
  assert_int_equal(covered(RULES_CONNECT, "11.0.0.1", 6379), -1);
  assert_int_equal(covered(RULES_CONNECT, "192.0.2.7", 443), 1);
  assert_int_equal(covered(RULES_CONNECT, "192.0.2.8", 443), -1);
  assert_int_equal(covered(RULES_CONNECT, "2001:db8::1", 443), 1);
  assert_int_equal(covered(RULES_CONNECT, "fd0f::1", 80), 2);
  assert_int_equal(covered(RULES_CONNECT, "fe00::1", 80), -1);
  assert_int_equal(covered(RULES_CONNECT, "198.51.100.1", 80), 3);
  assert_int_equal(covered(RULES_CONNECT, "8.8.8.8", 81), 4);
  assert_int_equal(covered(RULES_CONNECT, "::1", 81), -1);
  assert_int_equal(covered(RULES_CONNECT, "::1", 82), 5);
  assert_int_equal(covered(RULES_CONNECT, "8.8.8.8", 82), 5);
  policy_unref(p);
}

static void the_first_matching_rule_wins_where_ranges_overlap(void **state) {
  (void)state;
  struct policy *p = parse("connect:\n"
                           "  - { to: '10.0.0.1:6379', mode: off }\n"
                           "  - { to: '10.0.0.0/8:6379', allow: [spiffe://d/a] }\n"
                           "  - { to: '10.0.0.0/8:1-65535', allow: [spiffe://d/b] }\n");
  assert_int_equal(compile(p), 0);
  assert_int_equal(covered(RULES_CONNECT, "10.0.0.1", 6379), 0);
  assert_int_equal(covered(RULES_CONNECT, "10.0.0.2", 6379), 1);
  assert_int_equal(covered(RULES_CONNECT, "10.0.0.2", 6380), 2);
  assert_int_equal(table.entry[0].mode, RULES_OFF);
  assert_int_equal(table.entry[1].mode, RULES_ENFORCE);
  policy_unref(p);
}

static void a_rules_settings_reach_the_table_and_the_caller(void **state) {
  (void)state;
  struct policy *p = parse("connect:\n"
                           "  - to: 10.0.0.1:6379\n"
                           "    name: cache\n"
                           "    deny_errno: EHOSTUNREACH\n"
                           "    truncation: eof\n"
                           "    policy: audit\n"
                           "    sni: cache.example.org\n"
                           "    identity: { hint: internal }\n"
                           "    allow: [ spiffe://example.org/redis ]\n"
                           "listen:\n"
                           "  - { port: 80, allow: [ spiffe://d/x ], identity: { spiffe_id: spiffe://d/me } }\n");
  assert_int_equal(policy_rule_count(p), 2);
  const struct policy_rule *listen = policy_rule_at(p, 0), *connect = policy_rule_at(p, 1);
  assert_int_equal(listen->kind, RULES_LISTEN);
  assert_string_equal(listen->name, "listen 80");
  assert_string_equal(listen->spiffe_id, "spiffe://d/me");
  assert_int_equal(listen->deny_errno, EACCES);
  assert_int_equal(listen->flags, 0);
  assert_false(listen->audit_only);
  assert_int_equal(listen->line, 11);
  assert_string_equal(connect->name, "cache");
  assert_string_equal(connect->hint, "internal");
  assert_null(connect->spiffe_id);
  assert_string_equal(connect->sni, "cache.example.org");
  assert_true(connect->audit_only);
  assert_int_equal(compile(p), 0);
  assert_int_equal(table.entry[1].deny_errno, EHOSTUNREACH);
  assert_int_equal(table.entry[1].flags, ARENA_TRUNCATION_EOF);
  policy_unref(p);
}

static void settings_have_the_documented_defaults(void **state) {
  (void)state;
  struct policy *p = parse("");
  const struct policy_settings *s = policy_settings(p);
  assert_int_equal(policy_rule_count(p), 0);
  assert_string_equal(s->workload_socket, "unix:///env/agent.sock");
  assert_null(s->spiffe_id);
  assert_null(s->hint);
  assert_int_equal(s->scope, POLICY_SCOPE_PROCESS);
  assert_string_equal(s->log_to, "auto");
  assert_string_equal(s->audit_to, "auto");
  assert_int_equal(s->log_format, POLICY_LOG_TEXT);
  assert_int_equal(s->log_level, POLICY_LOG_INFO);
  assert_int_equal(s->handshake_timeout_ms, 10000);
  assert_int_equal(s->identity_wait_ms, 10000);
  assert_int_equal(s->daemon_linger_ms, 30000);
  assert_int_equal(s->handshake_threads, 0);
  assert_int_equal(s->io_uring, POLICY_IO_URING_DENY);
  policy_unref(p);
}

static void settings_are_read(void **state) {
  (void)state;
  struct policy *p = parse("workload_api: { socket: unix:///run/spire/sockets/agent.sock }\n"
                           "identity: { spiffe_id: spiffe://example.org/redis, scope: daemon }\n"
                           "log: { to: /var/log/x.log, format: json, level: debug }\n"
                           "handshake_timeout: 500ms\n"
                           "identity_wait: 2m\n"
                           "daemon: { linger: 1h, threads: 3 }\n"
                           "io_uring: allow-unsafe\n");
  const struct policy_settings *s = policy_settings(p);
  assert_string_equal(s->workload_socket, "unix:///run/spire/sockets/agent.sock");
  assert_string_equal(s->spiffe_id, "spiffe://example.org/redis");
  assert_int_equal(s->scope, POLICY_SCOPE_DAEMON);
  assert_string_equal(s->log_to, "/var/log/x.log");
  assert_string_equal(s->audit_to, "/var/log/x.log");
  assert_int_equal(s->log_format, POLICY_LOG_JSON);
  assert_int_equal(s->log_level, POLICY_LOG_DEBUG);
  assert_int_equal(s->handshake_timeout_ms, 500);
  assert_int_equal(s->identity_wait_ms, 120000);
  assert_int_equal(s->daemon_linger_ms, 3600000);
  assert_int_equal(s->handshake_threads, 3);
  assert_int_equal(s->io_uring, POLICY_IO_URING_ALLOW_UNSAFE);
  policy_unref(p);
}

static void variables_fill_in_values(void **state) {
  (void)state;
  struct policy *p = parse("listen: [{port: '${PORT}-${NONE:-6400}', name: 'x${EMPTY}y${EMPTY:-z}',"
                           " allow: ['spiffe://${DOMAIN}/a', \"spiffe://${NONE:-d}/b\"]}]");
  assert_int_equal(compile(p), 0);
  assert_int_equal(covered(RULES_LISTEN, "::", 6400), 0);
  assert_string_equal(policy_rule_at(p, 0)->name, "xyz");
  assert_true(allows(p, 0, "spiffe://example.org/a"));
  assert_true(allows(p, 0, "spiffe://d/b"));
  policy_unref(p);
}

static void what_a_variable_holds_is_never_read_as_yaml(void **state) {
  (void)state;
  struct policy *p = parse("listen: [{port: 1, name: '${YAMLISH}', allow: [spiffe://d/a]}]");
  assert_string_equal(policy_rule_at(p, 0)->name, "spiffe://example.org/a ] # [x: y");
  policy_unref(p);
}

static void a_file_is_read_from_its_start_wherever_its_offset_is(void **state) {
  (void)state;
  static const char text[] = "listen: [{port: 7, mode: off}]\n";
  char why[256];
  int fd = memfd_create("t", MFD_CLOEXEC);
  assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
  struct policy *p = policy_read("t.yaml", fd, NULL, NULL, why, sizeof why);
  assert_non_null(p);
  assert_int_equal(policy_rule_count(p), 1);
  assert_int_equal(lseek(fd, 0, SEEK_CUR), sizeof text - 1);
  assert_null(policy_settings(p)->workload_socket);
  assert_ptr_equal(policy_ref(p), p);
  policy_unref(p);
  policy_unref(p);
  assert_int_equal(ftruncate(fd, 1024 * 1024 + 1), 0);
  assert_null(policy_read("t.yaml", fd, NULL, NULL, why, sizeof why));
  assert_string_equal(why, "t.yaml:1:1: the file is larger than 1 MiB");
  close(fd);
}

static void a_directory_is_an_error_with_a_name(void **state) {
  (void)state;
  char why[256];
  int fd = open("/tmp", O_RDONLY | O_CLOEXEC);
  assert_null(policy_read("/tmp", fd, NULL, NULL, why, sizeof why));
  assert_string_equal(why, "/tmp:1:1: cannot be read: Is a directory");
  close(fd);
}

static void a_description_names_every_rule_as_text_and_json(void **state) {
  (void)state;
  struct policy *p =
      parse("listen: [{port: [6379, 7000-7010], allow: ['spiffe://d/**'], deny: [spiffe://d/bad]}]\n"
            "connect: [{to: '[fd00::]/8:80', allow: [spiffe://d/x]}, {to: web.test:80, allow: [spiffe://d/x]}]");
  char *text = policy_describe(p, false), *json = policy_describe(p, true);
  static const char *const in_text[] = {"listen 6379, 7000-7010", "spiffe://d/**", "spiffe://d/bad", "[fd00::]/8:80",
                                        "web.test:80"};
  static const char *const in_json[] = {"\"7000-7010\"", "\"spiffe://d/**\"", "\"[fd00::]/8:80\"", "\"web.test:80\""};
  for (size_t i = 0; i < sizeof in_text / sizeof *in_text; i++)
    assert_non_null(strstr(text, in_text[i]));
  for (size_t i = 0; i < sizeof in_json / sizeof *in_json; i++)
    assert_non_null(strstr(json, in_json[i]));
  assert_null(strstr(text, "*:80"));
  free(text);
  free(json);
  policy_unref(p);
}

/* From the top of the source tree, where `make` runs the tests. */
static void the_examples_are_valid(void **state) {
  (void)state;
  static const char *const files[] = {"examples/svidwrap.yaml", "examples/client.yaml"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char why[512] = "";
    int fd = open(files[i], O_RDONLY | O_CLOEXEC);
    if (fd < 0)
      fail_msg("%s: not found from here", files[i]);
    struct policy *p = policy_read(files[i], fd, vars, NULL, why, sizeof why);
    if (!p)
      fail_msg("%s", why);
    assert_true(policy_rule_count(p) > 0);
    policy_unref(p);
    close(fd);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(deny_wins_over_allow),
      cmocka_unit_test(an_unknown_rule_a_rule_that_is_off_and_an_unset_peer_are_denied),
      cmocka_unit_test(ports_are_numbers_ranges_and_lists_of_both),
      cmocka_unit_test(every_port_may_be_covered_in_both_directions),
      cmocka_unit_test(destinations_are_addresses_and_networks_of_both_families),
      cmocka_unit_test(the_first_matching_rule_wins_where_ranges_overlap),
      cmocka_unit_test(a_rules_settings_reach_the_table_and_the_caller),
      cmocka_unit_test(settings_have_the_documented_defaults),
      cmocka_unit_test(settings_are_read),
      cmocka_unit_test(variables_fill_in_values),
      cmocka_unit_test(what_a_variable_holds_is_never_read_as_yaml),
      cmocka_unit_test(a_file_is_read_from_its_start_wherever_its_offset_is),
      cmocka_unit_test(a_directory_is_an_error_with_a_name),
      cmocka_unit_test(the_examples_are_valid),
      cmocka_unit_test(a_description_names_every_rule_as_text_and_json),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
