/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_policy_modes.c - what staged migration needs of a policy: modes and what belongs to them, a copy with another
 * mode, host names in the table, addresses that stay in plaintext, limits.
 */
#include "agentclient/policy/policy.h"
#include "svidwrap/arena.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct rules_table table;

static struct policy *parse(const char *text) {
  char why[512];
  struct policy *p = policy_parse("t.yaml", text, strlen(text), NULL, NULL, why, sizeof why);
  if (!p)
    fail_msg("%s\n%s", why, text);
  return p;
}

static void compile(const struct policy *p, const struct policy_addresses *found, size_t count) {
  memset(&table, 0xff, sizeof table);
  table.magic = RULES_MAGIC;
  atomic_store(&table.seq, 0);
  assert_int_equal(policy_compile(p, found, count, &table), 0);
}

static void address(const char *ip, uint8_t out[16]) {
  memset(out, 0, 16);
  out[10] = out[11] = 0xff;
  if (inet_pton(AF_INET, ip, out + 12) != 1)
    assert_int_equal(inet_pton(AF_INET6, ip, out), 1);
}

/* The rule of a connect to ip, which the program found by that name (NULL: by none); -1: none. */
static int reached(const char *ip, uint16_t port, const char *name) {
  struct rules_hosts hosts = {.count = name ? 1 : 0};
  struct rules_entry e;
  uint8_t addr[16];
  address(ip, addr);
  snprintf(hosts.name[0], sizeof hosts.name[0], "%s", name ? name : "");
  return rules_match_host(&table, RULES_CONNECT, addr, port, &hosts, &e) == 1 ? (int)e.rule : -1;
}

static void what_belongs_to_a_mode_is_read(void **state) {
  (void)state;
  struct policy *p = parse("listen:\n"
                           "  - port: 1\n"
                           "    mode: permissive\n"
                           "    detect_timeout: 1s\n"
                           "    plaintext_from: [ 10.0.0.0/8, 192.0.2.7, 'fd00::/8', '[2001:db8::1]' ]\n"
                           "    on_revoke: keep\n"
                           "    on_policy_change: keep\n"
                           "    resumption: off\n"
                           "    limits: { connections: 10, rate: 5/s, rate_per_peer: 2/s, burst_per_peer: 7 }\n"
                           "    allow: [spiffe://d/a]\n"
                           "connect:\n"
                           "  - to: '*:1'\n"
                           "    mode: canary\n"
                           "    percent: 25\n"
                           "    sticky: process\n"
                           "    on_failure: suspend\n"
                           "    suspend_for: 2m\n"
                           "    alpn: [ h2, http/1.1 ]\n"
                           "    allow: [spiffe://d/a]\n");
  const struct policy_rule *l = policy_rule_at(p, 0), *c = policy_rule_at(p, 1);
  assert_int_equal(l->mode, RULES_PERMISSIVE);
  assert_int_equal(l->detect_timeout_ms, 1000);
  assert_int_equal(l->on_revoke, POLICY_REVOKE_KEEP);
  assert_int_equal(l->on_change, POLICY_CHANGE_KEEP);
  assert_false(l->resumption);
  assert_int_equal(l->limits.connections, 10);
  assert_int_equal(l->limits.connections_per_peer, 0);
  assert_int_equal(l->limits.rate, 5);
  assert_int_equal(l->limits.burst, 5);
  assert_int_equal(l->limits.rate_per_peer, 2);
  assert_int_equal(l->limits.burst_per_peer, 7);
  assert_int_equal(c->mode, RULES_CANARY);
  assert_int_equal(c->percent, 25);
  assert_true(c->sticky);
  assert_int_equal(c->on_failure, POLICY_FAILURE_SUSPEND);
  assert_int_equal(c->suspend_for_ms, 120000);
  assert_int_equal(c->alpn_len, 12);
  assert_memory_equal(c->alpn, "\2h2\10http/1.1", 12);
  compile(p, NULL, 0);
  assert_int_equal(table.count, 2);
  assert_int_equal(table.entry[0].mode, RULES_PERMISSIVE);
  assert_int_equal(table.entry[1].mode, RULES_CANARY);
  assert_int_equal(table.entry[1].percent, 25);
  assert_int_equal(table.entry[1].flags, RULES_STICKY);
  policy_unref(p);
}

static void the_defaults_are_the_strict_ones(void **state) {
  (void)state;
  struct policy *p = parse("connect: [{to: '*:1', mode: canary, allow: [spiffe://d/a]}]");
  const struct policy_rule *c = policy_rule_at(p, 0);
  assert_int_equal(c->percent, 100);
  assert_false(c->sticky);
  assert_false(c->staged);
  assert_int_equal(c->on_failure, POLICY_FAILURE_ERROR);
  assert_int_equal(c->suspend_for_ms, 60000);
  assert_int_equal(c->detect_timeout_ms, 300);
  assert_int_equal(c->on_revoke, POLICY_REVOKE_CLOSE);
  assert_int_equal(c->on_change, POLICY_CHANGE_CLOSE);
  assert_true(c->resumption);
  assert_int_equal(c->limits.connections + c->limits.rate + c->limits.burst, 0);
  assert_null(c->alpn);
  policy_unref(p);
}

static void off_with_an_allow_list_is_staged(void **state) {
  (void)state;
  struct policy *p = parse("listen: [{port: 1, mode: off, allow: [spiffe://d/a]}, {port: 2, mode: off}]");
  assert_true(policy_rule_at(p, 0)->staged);
  assert_false(policy_rule_at(p, 1)->staged);
  compile(p, NULL, 0);
  assert_int_equal(table.entry[0].mode, RULES_OFF);
  assert_int_equal(table.entry[0].flags, RULES_STAGED);
  assert_int_equal(table.entry[1].flags, 0);
  policy_unref(p);
}

static void the_settings_of_a_daemon_are_read(void **state) {
  (void)state;
  struct policy *p = parse("enforce_config: true\naudit: {to: syslog, required: true}\n"
                           "metrics: {listen: '[::1]:9464'}\nstate_dir: /var/lib/svidwrap\n");
  const struct policy_settings *s = policy_settings(p);
  assert_true(s->enforce_config);
  assert_true(s->audit_required);
  assert_string_equal(s->audit_to, "syslog");
  assert_string_equal(s->metrics_listen, "[::1]:9464");
  assert_string_equal(s->state_dir, "/var/lib/svidwrap");
  policy_unref(p);
  p = parse("");
  s = policy_settings(p);
  assert_false(s->enforce_config);
  assert_false(s->audit_required);
  assert_null(s->metrics_listen);
  assert_null(s->state_dir);
  policy_unref(p);
}

/* Counters and `svidwrap mode` go by the name; that of a long list is cut short. */
static void rules_whose_names_we_make_up_are_told_apart(void **state) {
  (void)state;
#define LONG "a23456789-b23456789-c23456789-d23456789-e23456789."
#define RULE "- {mode: off, to: '" LONG LONG LONG "test:"
  static const char text[] = "connect:\n" RULE "1'}\n" RULE "2'}\n" RULE "3'}\n";
  struct policy *p = parse(text);
  for (uint32_t i = 0; i < 3; i++)
    for (uint32_t j = 0; j < i; j++)
      assert_string_not_equal(policy_rule_at(p, i)->name, policy_rule_at(p, j)->name);
  assert_non_null(strstr(policy_rule_at(p, 2)->name, " (line 4)"));
  policy_unref(p);
}

/* ---- modes that change -------------------------------------------------------------------------------------- */

#define TWO                                                                                                          \
  "listen: [{name: in, port: 1, mode: off, allow: [spiffe://d/a]}, {name: bare, port: 2, mode: off}]\n"              \
  "connect: [{name: out, to: 'web.test:1', mode: canary, percent: 10, allow: [spiffe://d/a]}]\n"

static void a_copy_has_another_mode_and_the_original_keeps_its_own(void **state) {
  (void)state;
  char why[256] = "x";
  struct policy *p = parse(TWO), *q = policy_with_mode(p, "in", RULES_PERMISSIVE, UINT32_MAX, why, sizeof why);
  assert_non_null(q);
  assert_string_equal(why, "");
  struct policy *r = policy_with_mode(q, "out", RULES_CANARY, 50, why, sizeof why);
  assert_non_null(r);
  assert_int_equal(policy_rule_at(p, 0)->mode, RULES_OFF);
  assert_true(policy_rule_at(p, 0)->staged);
  policy_unref(p); /* what is below lives in its memory, and must keep it */
  assert_int_equal(policy_rule_at(q, 2)->percent, 10);
  policy_unref(q);
  assert_int_equal(policy_rule_at(r, 0)->mode, RULES_PERMISSIVE);
  assert_false(policy_rule_at(r, 0)->staged);
  assert_int_equal(policy_rule_at(r, 2)->percent, 50);
  assert_int_equal(policy_rule_at(r, 2)->mode, RULES_CANARY);
  compile(r, NULL, 0);
  assert_int_equal(table.count, 3);
  assert_int_equal(reached("192.0.2.1", 1, "web.test"), 2);
  struct policy *s = policy_with_mode(r, "in", RULES_OFF, UINT32_MAX, why, sizeof why);
  assert_true(policy_rule_at(s, 0)->staged);
  policy_unref(r);
  struct spiffeid peer;
  const char *reason;
  assert_int_equal(spiffeid_parse(&peer, "spiffe://d/a", 12, 1, &reason), 0);
  assert_true(policy_allows(s, 2, NULL, &peer, &reason));
  policy_unref(s);
}

static void a_mode_that_a_rule_cannot_have_is_refused_with_the_cure(void **state) {
  (void)state;
  static const struct {
    const char *rule;
    enum rules_mode mode;
    uint32_t percent;
    const char *says;
  } cases[] = {
      {"nowhere", RULES_ENFORCE, UINT32_MAX, "there is no rule 'nowhere'; the rules are: 'in', 'bare', 'out'"},
      {"in", RULES_CANARY, UINT32_MAX, "rule 'in': canary is for connect rules"},
      {"out", RULES_PERMISSIVE, UINT32_MAX, "rule 'out': permissive is for listen rules"},
      {"bare", RULES_ENFORCE, UINT32_MAX, "rule 'bare': it has no allow list"},
      {"in", RULES_ENFORCE, 5, "rule 'in': a percentage is for connect rules"},
      {"out", RULES_CANARY, 101, "rule 'out': a percentage is a number from 0 to 100"},
  };
  struct policy *p = parse(TWO);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char why[256] = "";
    assert_null(policy_with_mode(p, cases[i].rule, cases[i].mode, cases[i].percent, why, sizeof why));
    if (strncmp(why, cases[i].says, strlen(cases[i].says)) != 0)
      fail_msg("%s", why);
  }
  policy_unref(p);
}

static void modes_have_names(void **state) {
  (void)state;
  static const char *const names[] = {"off", "permissive", "canary", "enforce"};
  enum rules_mode mode = RULES_OFF;
  for (unsigned i = 0; i < 4; i++) {
    assert_int_equal(policy_mode_parse(names[i], &mode), 0);
    assert_int_equal(mode, i);
    assert_string_equal(policy_mode_name(mode), names[i]);
  }
  assert_int_equal(policy_mode_parse("Off", &mode), -1);
  assert_int_equal(policy_mode_parse("", &mode), -1);
  assert_int_equal(policy_mode_parse("enforced", &mode), -1);
}

/* ---- plaintext_from ----------------------------------------------------------------------------------------- */

static bool plain(const struct policy *p, uint32_t rule, const char *ip) {
  struct sockaddr_in in = {.sin_family = AF_INET};
  struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
  if (inet_pton(AF_INET, ip, &in.sin_addr) == 1)
    return policy_plaintext_from(p, rule, (struct sockaddr *)&in, sizeof in);
  assert_int_equal(inet_pton(AF_INET6, ip, &in6.sin6_addr), 1);
  return policy_plaintext_from(p, rule, (struct sockaddr *)&in6, sizeof in6);
}

static void plaintext_from_covers_what_it_names_and_nothing_else(void **state) {
  (void)state;
  struct policy *p =
      parse("listen: [{port: 1, mode: permissive, plaintext_from: [10.0.0.0/8, 192.0.2.7, 'fd00::/8', "
            "'[2001:db8::1]'], allow: [spiffe://d/a]}, {port: 2, mode: permissive, allow: [spiffe://d/a]}]");
  static const char *const in[] = {"10.1.2.3", "::ffff:10.1.2.3", "192.0.2.7", "fd12::1", "2001:db8::1"};
  static const char *const out[] = {"11.0.0.0", "192.0.2.8", "fe00::1", "2001:db8::2", "::", "0.0.0.0"};
  for (size_t i = 0; i < sizeof in / sizeof *in; i++)
    assert_true(plain(p, 0, in[i]));
  for (size_t i = 0; i < sizeof out / sizeof *out; i++)
    assert_false(plain(p, 0, out[i]));
  assert_false(plain(p, 1, "10.1.2.3"));
  assert_false(plain(p, 2, "10.1.2.3"));
  struct sockaddr other = {.sa_family = AF_UNIX};
  assert_false(policy_plaintext_from(p, 0, &other, sizeof other));
  policy_unref(p);
}

/* ---- host names --------------------------------------------------------------------------------------------- */

static void host_names_cover_what_the_program_looked_up(void **state) {
  (void)state;
  struct policy *p = parse("connect:\n"
                           "  - { to: 'Web.Example.org.:80,443', allow: [spiffe://d/a] }\n"
                           "  - { to: [ 'localhost:80', '10.0.0.0/8:80' ], allow: [spiffe://d/b] }\n"
                           "  - { to: 'web.example.org:8080', allow: [spiffe://d/c] }\n");
  compile(p, NULL, 0);
  assert_int_equal(table.count, 5);
  assert_int_equal(reached("192.0.2.1", 80, "web.example.org"), 0);
  assert_int_equal(reached("192.0.2.1", 443, "web.example.org"), 0);
  assert_int_equal(reached("192.0.2.1", 8080, "web.example.org"), 2);
  assert_int_equal(reached("192.0.2.1", 81, "web.example.org"), -1);
  assert_int_equal(reached("192.0.2.1", 80, "www.example.org"), -1);
  assert_int_equal(reached("192.0.2.1", 80, NULL), -1);
  assert_int_equal(reached("127.0.0.1", 80, "localhost"), 1);
  assert_int_equal(reached("10.0.0.1", 80, NULL), 1);
  policy_unref(p);
}

static void found_addresses_stand_behind_their_name_in_its_rule(void **state) {
  (void)state;
  uint8_t web[2][16], other[1][16];
  address("192.0.2.1", web[0]);
  address("2001:db8::1", web[1]);
  address("192.0.2.9", other[0]);
  const struct policy_addresses found[] = {{"web.test", 2, (const uint8_t(*)[16])web},
                                           {"stranger.test", 1, (const uint8_t(*)[16])other}};
  struct policy *p = parse("connect:\n"
                           "  - { to: 'web.test:80', allow: [spiffe://d/a] }\n"
                           "  - { to: '*:80', allow: [spiffe://d/b] }\n");
  compile(p, found, 2);
  assert_int_equal(table.count, 4);
  assert_int_equal(reached("192.0.2.1", 80, NULL), 0);
  assert_int_equal(reached("2001:db8::1", 80, NULL), 0);
  assert_int_equal(reached("192.0.2.9", 80, NULL), 1);
  assert_int_equal(reached("192.0.2.9", 80, "web.test"), 0);
  assert_int_equal(table.entry[1].host, 0);
  assert_int_equal(table.entry[1].prefix, 128);
  policy_unref(p);
}

/* Two hosts behind one address: who asked for the second is the second rule's. */
static void a_found_address_gives_way_to_the_name_that_was_asked_for(void **state) {
  (void)state;
  uint8_t shared[1][16];
  address("192.0.2.1", shared[0]);
  const struct policy_addresses found[] = {{"a.test", 1, (const uint8_t(*)[16])shared},
                                           {"b.test", 1, (const uint8_t(*)[16])shared}};
  struct policy *p = parse("connect:\n"
                           "  - { to: 'a.test:80', allow: [spiffe://d/a] }\n"
                           "  - { to: 'b.test:80', allow: [spiffe://d/b] }\n"
                           "  - { to: '192.0.2.0/24:80', allow: [spiffe://d/c] }\n"
                           "  - { to: 'c.test:80', allow: [spiffe://d/d] }\n");
  compile(p, found, 2);
  assert_int_equal(reached("192.0.2.1", 80, "a.test"), 0);
  assert_int_equal(reached("192.0.2.1", 80, "b.test"), 1);
  assert_int_equal(reached("192.0.2.1", 80, "alias.test"), 0);
  assert_int_equal(reached("192.0.2.1", 80, NULL), 0);
  assert_int_equal(reached("192.0.2.1", 80, "c.test"), 0); /* an address range stands before it */
  assert_int_equal(reached("192.0.2.2", 80, "c.test"), 2);
  assert_int_equal(reached("192.0.3.1", 80, "c.test"), 3);
  policy_unref(p);
}

/* Whoever answers for a name may answer with any address: that makes no rule weaker. */
static void a_found_address_gives_way_to_a_stricter_rule(void **state) {
  (void)state;
  uint8_t shared[1][16];
  address("10.0.0.5", shared[0]);
  const struct policy_addresses found[] = {{"off.test", 1, (const uint8_t(*)[16])shared},
                                           {"canary.test", 1, (const uint8_t(*)[16])shared}};
  struct policy *p = parse("connect:\n"
                           "  - { to: 'off.test:80', mode: off }\n"
                           "  - { to: 'canary.test:80', mode: canary, percent: 5, allow: [spiffe://d/b] }\n"
                           "  - { to: '10.0.0.0/8:80', allow: [spiffe://d/c] }\n"
                           "  - { to: 'off.test:81', mode: off }\n"
                           "  - { to: 'canary.test:81', mode: canary, percent: 5, allow: [spiffe://d/b] }\n"
                           "  - { to: '10.0.0.0/8:81', mode: off }\n");
  compile(p, found, 2);
  assert_int_equal(reached("10.0.0.5", 80, NULL), 2);
  assert_int_equal(reached("10.0.0.5", 80, "off.test"), 0);
  assert_int_equal(reached("10.0.0.5", 80, "canary.test"), 1);
  assert_int_equal(reached("10.0.0.5", 81, NULL), 4);
  assert_int_equal(reached("10.0.0.6", 81, NULL), 5);
  policy_unref(p);
}

static void host_names_are_told_in_the_order_of_rules(void **state) {
  (void)state;
  struct policy *p = parse("listen: [{port: 1, mode: off}]\n"
                           "connect:\n"
                           "  - { to: [ 'B.test:1', 'a.test:2', 'b.test:3' ], mode: off }\n"
                           "  - { to: '10.0.0.1:1', mode: off }\n"
                           "  - { to: 'b.test:4', mode: off }\n");
  static const struct {
    const char *name;
    uint32_t rule;
  } want[] = {{"b.test", 1}, {"a.test", 1}, {"b.test", 3}};
  const char *name;
  uint32_t rule;
  for (size_t i = 0; i < 3; i++) {
    assert_true(policy_host_at(p, i, &name, &rule));
    assert_string_equal(name, want[i].name);
    assert_int_equal(rule, want[i].rule);
  }
  assert_false(policy_host_at(p, 3, &name, &rule));
  policy_unref(p);
}

static void host_names_are_bounded(void **state) {
  (void)state;
  char text[32768] = "connect:\n  - mode: off\n    to: [ ", why[512];
  size_t at = strlen(text);
  for (unsigned i = 0; i < 512; i++)
    at += (size_t)snprintf(text + at, sizeof text - at, "'h%u.test:80', ", i);
  size_t end = at;
  snprintf(text + end, sizeof text - end, "'h7.test:81' ]\n");
  struct policy *p = policy_parse("f", text, strlen(text), NULL, NULL, why, sizeof why);
  assert_non_null(p);
  policy_unref(p);
  snprintf(text + end, sizeof text - end, "'one.more:80' ]\n");
  assert_null(policy_parse("f", text, strlen(text), NULL, NULL, why, sizeof why));
  assert_non_null(strstr(why, "more than 512 host names"));
}

static void what_does_not_fit_the_table_is_never_left_out(void **state) {
  (void)state;
  static uint8_t many[RULES_MAX][16];
  const struct policy_addresses found = {"web.test", RULES_MAX, (const uint8_t(*)[16])many};
  struct policy *p = parse("connect: [{to: 'web.test:80', mode: off}]");
  assert_int_equal(policy_compile(p, &found, 1, &table), -1);
  assert_int_equal(table.count, 0);
  policy_unref(p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_belongs_to_a_mode_is_read),
      cmocka_unit_test(the_defaults_are_the_strict_ones),
      cmocka_unit_test(off_with_an_allow_list_is_staged),
      cmocka_unit_test(the_settings_of_a_daemon_are_read),
      cmocka_unit_test(rules_whose_names_we_make_up_are_told_apart),
      cmocka_unit_test(a_copy_has_another_mode_and_the_original_keeps_its_own),
      cmocka_unit_test(a_mode_that_a_rule_cannot_have_is_refused_with_the_cure),
      cmocka_unit_test(modes_have_names),
      cmocka_unit_test(plaintext_from_covers_what_it_names_and_nothing_else),
      cmocka_unit_test(host_names_cover_what_the_program_looked_up),
      cmocka_unit_test(found_addresses_stand_behind_their_name_in_its_rule),
      cmocka_unit_test(a_found_address_gives_way_to_the_name_that_was_asked_for),
      cmocka_unit_test(a_found_address_gives_way_to_a_stricter_rule),
      cmocka_unit_test(host_names_are_told_in_the_order_of_rules),
      cmocka_unit_test(host_names_are_bounded),
      cmocka_unit_test(what_does_not_fit_the_table_is_never_left_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
