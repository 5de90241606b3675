/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_policy_explain.c - does `svidwrap explain` name the rule that decides, what it decides, and why; and does it
 * say so where the configuration alone cannot tell?
 */
#include "agentclient/policy/policy.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char config[] =
    "identity: { spiffe_id: spiffe://example.org/redis }\n"
    "listen:\n"
    "  - port: [ 6379, 7000-7010 ]\n"
    "    allow: [ spiffe://example.org/web, 'spiffe://{trust_domain}/ns/prod/**' ]\n"
    "    deny: [ spiffe://example.org/ns/prod/batch ]\n"
    "  - { port: 80, mode: permissive, policy: audit, allow: [ spiffe://example.org/web ] }\n"
    "  - { port: 81, mode: off, allow: [ spiffe://example.org/web ] }\n"
    "  - { port: 82, allow: [ 'spiffe://*/web' ] }\n"
    "connect:\n"
    "  - { to: 'web.test:443', allow: [ spiffe://example.org/web ] }\n"
    "  - { name: ten, to: '10.0.0.0/8:443,444', mode: canary, percent: 10, allow: [ "
    "'spiffe://{trust_domain}/web' ] }\n"
    "  - { name: rest, to: '*:443', mode: off }\n";

#define WEB   "spiffe://example.org/web"
#define BATCH "spiffe://example.org/ns/prod/batch"
#define OTHER "spiffe://partner.test/web"

static const struct spiffeid *id(struct spiffeid *room, const char *text) {
  const char *why;
  if (!text)
    return NULL;
  assert_int_equal(spiffeid_parse(room, text, strlen(text), 1, &why), 0);
  return room;
}

struct question {
  const char *from, *self, *peer, *to;
  const char *direction, *verdict, *rule, *says; /* of the first answer; says: in the reason or a note */
  bool denied;
};

static void asked(const struct policy *p, const struct question *q) {
  struct spiffeid from, self, peer;
  struct policy_question ask = {id(&from, q->from), id(&self, q->self), id(&peer, q->peer), q->to};
  char why[256];
  bool denied = !q->denied;
  char *json = policy_explain(p, &ask, true, &denied, why, sizeof why);
  if (!json)
    fail_msg("%s", why);
  json_t *o = json_loads(json, 0, NULL), *a = json_array_get(json_object_get(o, "answers"), 0);
  const char *rule = json_string_value(json_object_get(a, "rule"));
  if (strcmp(json_string_value(json_object_get(a, "direction")), q->direction) != 0 ||
      strcmp(json_string_value(json_object_get(a, "verdict")), q->verdict) != 0 || !rule != !q->rule ||
      (rule && strcmp(rule, q->rule) != 0) || !strstr(json, q->says) || denied != q->denied)
    fail_msg("%s to %s:\n%s", q->from, q->to, json);
  json_decref(o);
  free(json);
  char *text = policy_explain(p, &ask, false, &denied, why, sizeof why);
  assert_non_null(strstr(text, q->verdict));
  free(text);
}

static void the_rule_and_the_reason_are_named(void **state) {
  (void)state;
  static const struct question all[] = {
      {WEB, NULL, NULL, "6379", "inbound", "allowed", "listen 6379, 7000-7010", "allow has '" WEB "'", false},
      {"spiffe://example.org/ns/prod/a", NULL, NULL, "7005", "inbound", "allowed", "listen 6379, 7000-7010",
       "allow has 'spiffe://{trust_domain}/ns/prod/**'", false},
      {BATCH, NULL, NULL, "6379", "inbound", "denied", "listen 6379, 7000-7010", "deny has '" BATCH "'", true},
      {OTHER, NULL, NULL, "6379", "inbound", "denied", "listen 6379, 7000-7010", "nothing in allow matches", true},
      {"spiffe://partner.test/ns/prod/a", "spiffe://partner.test/x", NULL, "6379", "inbound", "allowed",
       "listen 6379, 7000-7010", "allow has", false},
      {OTHER, NULL, NULL, "80", "inbound", "would_deny", "listen 80", "policy: audit lets it in", false},
      {WEB, NULL, NULL, "80", "inbound", "allowed", "listen 80", "mode: permissive: this is about a peer that",
       false},
      {WEB, NULL, NULL, "81", "inbound", "plaintext", "listen 81", "prepared", false},
      {OTHER, NULL, NULL, "82", "inbound", "allowed", "listen 82", "the agent must serve that domain's bundle",
       false},
      {WEB, NULL, NULL, "83", "inbound", "plaintext", NULL, "no rule names it", false},
      {WEB, NULL, NULL, "web.test:443", "outbound", "depends", "connect web.test:443", "ask with --peer ID", false},
      {WEB, NULL, NULL, "WEB.test.:443", "outbound", "depends", "connect web.test:443", "ask with --peer ID", false},
      {WEB, NULL, WEB, "web.test:443", "outbound", "allowed", "connect web.test:443", "allow has", false},
      {WEB, NULL, BATCH, "web.test:443", "outbound", "denied", "connect web.test:443", "nothing in allow", true},
      {WEB, NULL, WEB, "10.1.2.3:443", "outbound", "allowed", "ten", "about 10 of 100 connections", false},
      {OTHER, NULL, WEB, "10.1.2.3:444", "outbound", "denied", "ten", "nothing in allow", true},
      {WEB, NULL, NULL, "10.1.2.3:443", "outbound", "depends", "ten", "where web.test:443 leads to this address",
       false},
      {WEB, NULL, NULL, "redis.test:443", "outbound", "plaintext", "rest", "where redis.test leads into 10.0.0.0/8",
       false},
      {WEB, NULL, NULL, "[2001:db8::1]:443", "outbound", "plaintext", "rest", "the rule is off", false},
      {WEB, NULL, NULL, "192.0.2.1:444", "outbound", "plaintext", NULL, "no rule names it", false},
  };
  char why[512];
  struct policy *p = policy_parse("t.yaml", config, sizeof config - 1, NULL, NULL, why, sizeof why);
  if (!p)
    fail_msg("%s", why);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    asked(p, &all[i]);
  policy_unref(p);
}

static void where_we_do_not_know_who_we_are_our_domain_is_nobodys(void **state) {
  (void)state;
  char why[512];
  static const char text[] = "listen: [{port: 1, allow: ['spiffe://{trust_domain}/web']}]";
  struct policy *p = policy_parse("t.yaml", text, sizeof text - 1, NULL, NULL, why, sizeof why);
  const struct question unknown = {WEB, NULL, NULL, "1", "inbound", "denied", "listen 1", "name it (--as", true};
  const struct question known = {WEB, BATCH, NULL, "1", "inbound", "allowed", "listen 1", "allow has", false};
  asked(p, &unknown);
  asked(p, &known);
  policy_unref(p);
}

static void both_ends_are_told_where_the_file_has_both(void **state) {
  (void)state;
  char why[512];
  bool denied;
  struct spiffeid from;
  static const char text[] =
      "listen: [{port: 1, allow: [spiffe://example.org/a]}]\nconnect: [{to: '*:1', mode: off}]";
  struct policy *p = policy_parse("t.yaml", text, sizeof text - 1, NULL, NULL, why, sizeof why);
  struct policy_question ask = {.from = id(&from, WEB), .to = "10.0.0.1:1"};
  char *out = policy_explain(p, &ask, false, &denied, why, sizeof why);
  assert_non_null(strstr(out, "outbound: plaintext"));
  assert_non_null(strstr(out, "inbound: denied"));
  assert_true(denied);
  free(out);
  policy_unref(p);
}

static void what_is_no_destination_is_refused(void **state) {
  (void)state;
  static const char *const bad[] = {"",       "0",       "65536",   "redis", "redis:", ":80",           "a b:80",
                                    "::1:80", "[::1:80", "10.1:80", "*:80",  "1-2",    "[web.test]:80", "80x"};
  char why[512];
  bool denied;
  struct spiffeid from;
  struct policy *p = policy_parse("t.yaml", config, sizeof config - 1, NULL, NULL, why, sizeof why);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct policy_question ask = {.from = id(&from, WEB), .to = bad[i]};
    assert_null(policy_explain(p, &ask, true, &denied, why, sizeof why));
    assert_non_null(strstr(why, "is neither a port (6379) nor HOST:PORT"));
  }
  policy_unref(p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_rule_and_the_reason_are_named),
      cmocka_unit_test(where_we_do_not_know_who_we_are_our_domain_is_nobodys),
      cmocka_unit_test(both_ends_are_told_where_the_file_has_both),
      cmocka_unit_test(what_is_no_destination_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
