/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_policy_errors.c - what a configuration may not say. Each mistake must be refused (a rule that is
 * half understood is plaintext somewhere), and the message must name the place and the cure.
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
  return strcmp(name, "BAD") == 0     ? "a\nb"
         : strcmp(name, "LATIN") == 0 ? "caf\xe9"
         : strcmp(name, "PORT") == 0  ? "6379"
                                      : NULL;
}

struct mistake {
  const char *yaml, *says; /* says: how the message begins behind "t.yaml:" */
};

static void refused(const struct mistake *m, size_t count) {
  for (size_t i = 0; i < count; i++) {
    char why[512] = "";
    struct policy *p = policy_parse("t.yaml", m[i].yaml, strlen(m[i].yaml), vars, NULL, why, sizeof why);
    if (p)
      fail_msg("accepted: %s", m[i].yaml);
    if (strncmp(why, "t.yaml:", 7) != 0 || strncmp(why + 7, m[i].says, strlen(m[i].says)) != 0)
      fail_msg("%s\nsaid   %s\nwanted t.yaml:%s", m[i].yaml, why, m[i].says);
  }
}
#define REFUSED(list) refused(list, sizeof list / sizeof *list)

static void unknown_and_repeated_keys_are_refused_with_the_nearest_known_one(void **state) {
  (void)state;
  static const struct mistake m[] = {
      {"listne: []", "1:1: unknown key 'listne' in the configuration; the nearest known key is 'listen'"},
      {"log:\n  lvel: info", "2:3: unknown key 'lvel' in the section 'log'; the nearest known key is 'level'"},
      {"listen:\n  - port: 1\n    dney: [x]",
       "3:5: unknown key 'dney' in a listen rule; the nearest known key is 'deny'"},
      {"connect: [{port: 1}]", "1:12: unknown key 'port' in a connect rule; it is for listen rules"},
      {"listen: [{to: '*:1'}]", "1:11: unknown key 'to' in a listen rule; it is for connect rules"},
      {"listen: [{prot: 1}]", "1:11: unknown key 'prot' in a listen rule; the nearest known key is 'port'"},
      {"listen: [{port: 1, limits: {burts: 1}}]",
       "1:29: unknown key 'burts' in a rule's limits; the nearest known key is "
       "'burst'"},
      {"listen: [{port: 1, deny_errno: EACCES}]", "1:20: unknown key 'deny_errno' in a listen rule"},
      {"log: {level: info, level: debug}", "1:20: the key 'level' stands twice"},
      {"io_uring: deny\nio_uring: deny", "2:1: the key 'io_uring' stands twice"},
      {"listen: [{port: 1, identity: {scope: daemon}}]", "1:31: unknown key 'scope' in a rule's identity"},
  };
  REFUSED(m);
}

static void wrong_types_are_refused_and_the_right_one_is_named(void **state) {
  (void)state;
  static const struct mistake m[] = {
      {"[1]", "1:1: expected the configuration as a map (key: value), found a list"},
      {"just words", "1:1: expected the configuration as a map (key: value), found a single value"},
      {"listen: {port: 1}", "1:9: listen: expected a list of rules"},
      {"listen:", "1:8: listen: expected a list of rules"},
      {"listen: [6379]", "1:10: expected a listen rule as a map (key: value), found a single value"},
      {"log: stderr", "1:6: expected the section 'log' as a map (key: value), found a single value"},
      {"log: {to: [stderr]}", "1:11: expected auto, stderr, syslog or the path of a file, found a list"},
      {"log: {to: }", "1:11: expected auto, stderr, syslog or the path of a file, found nothing"},
      {"log: {to: here.log}", "1:11: to: expected auto, stderr, syslog or an absolute path, found 'here.log'"},
      {"log: {level: loud}", "1:14: level: expected error, warning, info or debug, found 'loud'"},
      {"identity: {scope: host}", "1:19: scope: expected process or daemon, found 'host'"},
      {"listen: [{port: 1, mode: canary, allow: [spiffe://d/a]}]",
       "1:26: mode: expected off, permissive or enforce, found 'canary'"},
      {"connect: [{to: '*:1', mode: true, allow: [spiffe://d/a]}]",
       "1:29: mode: expected off, canary or enforce, found 'true'"},
      {"listen: [{port: 1, allow: spiffe://d/a}]",
       "1:27: allow: expected a list of SPIFFE IDs, found a single value"},
      {"listen: [{port: 1, allow: [[spiffe://d/a]]}]", "1:28: expected a SPIFFE ID, found a list"},
      {"connect: [{to: '*:1', percent: 101}]", "1:32: percent: expected a number from 0 to 100, found '101'"},
      {"connect: [{to: '*:1', percent: 1e1}]", "1:32: percent: expected a number from 0 to 100"},
      {"connect: [{to: '*:1', deny_errno: EPERM}]",
       "1:35: deny_errno: expected EACCES, ECONNREFUSED or EHOSTUNREACH, found 'EPERM'"},
      {"daemon: {threads: -1}", "1:19: threads: expected a number from 0 to 256"},
      {"workload_api: {socket: /run/agent.sock}", "1:24: socket: expected unix:///PATH or tcp://IP:PORT"},
  };
  REFUSED(m);
}

static void durations_need_a_unit_and_a_bound(void **state) {
  (void)state;
  static const struct mistake m[] = {
      {"handshake_timeout: 10",
       "1:20: handshake_timeout: expected a duration such as 500ms, 10s, 5m or 1h, found '10'"},
      {"handshake_timeout: 10 s", "1:20: handshake_timeout: expected a duration"},
      {"handshake_timeout: -1s", "1:20: handshake_timeout: expected a duration"},
      {"handshake_timeout: s", "1:20: handshake_timeout: expected a duration"},
      {"handshake_timeout: 0s", "1:20: handshake_timeout: '0s' is out of range"},
      {"handshake_timeout: 99999999999h", "1:20: handshake_timeout: '99999999999h' is out of range"},
      {"handshake_timeout: 99999999999999999999h", "1:20: handshake_timeout: expected a duration"},
      {"identity_wait: 1d", "1:16: identity_wait: expected a duration"},
  };
  REFUSED(m);
}

static void a_rule_that_is_not_off_must_say_who_is_allowed(void **state) {
  (void)state;
  static const struct mistake m[] = {
      {"listen: [{port: 1}]", "1:10: a rule with mode: enforce needs allow:"},
      {"listen:\n  - port: 1\n    mode: enforce\n    deny: [spiffe://d/a]",
       "2:5: a rule with mode: enforce needs allow:"},
      {"connect: [{to: '*:1', mode: canary}]", "1:11: a rule with mode: canary needs allow:"},
      {"listen: [{port: 1, policy: audit}]", "1:10: a rule with mode: enforce needs allow:"},
      {"listen: [{port: 1, allow: []}]", "1:27: allow: the list is empty"},
      {"listen: [{port: 1, mode: off, deny: []}]", "1:37: deny: the list is empty"},
      {"listen: [{allow: [spiffe://d/a]}]", "1:10: this rule does not say which port"},
      {"connect: [{allow: [spiffe://d/a]}]", "1:11: this rule does not say where it is for (to:)"},
  };
  REFUSED(m);
}

static void patterns_that_do_not_mean_what_they_seem_to_are_refused(void **state) {
  (void)state;
#define ALLOW(x) "listen: [{port: 1, allow: ['" x "']}]"
  static const struct mistake m[] = {
      {ALLOW("example.org/web"), "1:28: allow: 'example.org/web': a pattern begins with its scheme"},
      {ALLOW("SPIFFE://example.org/web"),
       "1:28: allow: 'SPIFFE://example.org/web': a pattern begins with its scheme"},
      {ALLOW("*"), "1:28: allow: '*': this does not say in which trust domain; write spiffe://{trust_domain}/**"},
      {ALLOW("**"), "1:28: allow: '**': this does not say in which trust domain; write spiffe://{trust_domain}/**"},
      {ALLOW("/**"), "1:28: allow: '/**': this does not say in which trust domain"},
      {ALLOW("spiffe://**"), "1:28: allow: 'spiffe://**': this does not say in which trust domain"},
      {ALLOW("spiffe://**/a"), "1:28: allow: 'spiffe://**/a': this does not say in which trust domain"},
      {ALLOW("spiffe://*"), "1:28: allow: 'spiffe://*': this names a trust domain and no workload"},
      {ALLOW("spiffe://*/"), "1:28: allow: "},
      {ALLOW("spiffe://{trust_domain}"), "1:28: allow: 'spiffe://{trust_domain}': this names a trust domain and no"},
      {ALLOW("spiffe://{domain}/a"),
       "1:28: allow: 'spiffe://{domain}/a': the trust domain of our own SVID is written"},
      {ALLOW("spiffe://a.{trust_domain}/a"),
       "1:28: allow: 'spiffe://a.{trust_domain}/a': the trust domain of our own"},
      {ALLOW("spiffe://d/{trust_domain}"), "1:28: allow: "},
      {ALLOW("spiffe://*.example.org/web"), "1:28: allow: 'spiffe://*.example.org/web': the trust domain is spelled"},
      {ALLOW("spiffe://example.org"),
       "1:28: allow: 'spiffe://example.org': this names a trust domain and no workload"},
      {ALLOW("spiffe://example.org/web-*"),
       "1:28: allow: 'spiffe://example.org/web-*': '*' stands for one whole path"},
      {ALLOW("spiffe://example.org/***"), "1:28: allow: 'spiffe://example.org/***': '*' stands for one whole path"},
      {ALLOW("spiffe://example.org/*a*"), "1:28: allow: 'spiffe://example.org/*a*': '*' stands for one whole path"},
      {ALLOW("spiffe://example.org/"), "1:28: allow: "},
      {ALLOW("spiffe://example.org//a"), "1:28: allow: "},
      {ALLOW("spiffe://example.org/../a"), "1:28: allow: "},
      {ALLOW("spiffe://example.org/a b"), "1:28: allow: "},
      {ALLOW("spiffe://Example.org/a"), "1:28: allow: "},
      {ALLOW("spiffe:///a"), "1:28: allow: "},
      {"identity: {spiffe_id: spiffe://example.org}",
       "1:23: spiffe_id: 'spiffe://example.org' is no workload's SPIFFE ID"},
      {"identity: {spiffe_id: spiffe://d/a, hint: b}", "1:11: identity: name the SVID by spiffe_id or by hint"},
      {"listen: [{port: 1, identity: {spiffe_id: spiffe://d/a, hint: b}}]", "1:30: identity: name the SVID by"},
  };
  REFUSED(m);
}

static void ports_and_destinations_that_cannot_be_read_exactly_are_refused(void **state) {
  (void)state;
#define PORT(x) "listen: [{port: " x ", mode: off}]"
#define TO(x)   "connect: [{to: '" x "', mode: off}]"
  static const struct mistake m[] = {
      {PORT("0"), "1:17: '0' is not a port"},
      {PORT("65536"), "1:17: '65536' is not a port"},
      {PORT("6379x"), "1:17: '6379x' is not a port"},
      {PORT("redis"), "1:17: 'redis' is not a port"},
      {PORT("0x10"), "1:17: '0x10' is not a port"},
      {PORT("7010-7000"), "1:17: '7010-7000': the range 7010-7000 runs backwards"},
      {PORT("1-"), "1:17: '1-' is not a port"},
      {PORT("'1,'"), "1:17: '1,' is not a port"},
      {PORT("1-2-3"), "1:17: '1-2-3' is not a port"},
      {PORT("[]"), "1:17: port: the list is empty"},
      {PORT("{a: 1}"), "1:17: expected a port (6379), a range"},
      {TO("10.0.0.1"), "1:16: to: '10.0.0.1': expected NAME:PORT, ADDRESS:PORT"},
      {TO("10.0.0.1:"), "1:16: to: '10.0.0.1:': expected NAME:PORT"},
      {TO(":80"), "1:16: to: ':80': expected NAME:PORT"},
      {TO("10.0.0.1:http"), "1:16: 'http' is not a port"},
      {TO("10.1:80"), "1:16: '10.1' is neither a host name, an IPv4 address"},
      {TO("10.0.0.256:80"), "1:16: '10.0.0.256' is neither a host name, an IPv4 address"},
      {TO("10.0.0.1/8:80"), "1:16: '10.0.0.1/8': the address has bits set beyond its prefix of 8"},
      {TO("10.0.0.0/33:80"), "1:16: '10.0.0.0/33': expected a prefix length from 0 to 32"},
      {TO("10.0.0.0/:80"), "1:16: '10.0.0.0/': expected a prefix length"},
      {TO("10.0.0.0/8/8:80"), "1:16: '10.0.0.0/8/8': expected a prefix length"},
      {TO("::1:80"), "1:16: '::1': an IPv6 address stands in brackets"},
      {TO("[::1:80"), "1:16: '[::1': expected [IPv6] or [IPv6]/PREFIX"},
      {TO("[::1]x:80"), "1:16: '[::1]x': expected [IPv6] or [IPv6]/PREFIX"},
      {TO("[10.0.0.1]:80"), "1:16: '[10.0.0.1]' is neither"},
      {TO("[fe80::1%eth0]:80"), "1:16: '[fe80::1%eth0]' is neither"},
      {TO("[fd00::]/129:80"), "1:16: '[fd00::]/129': expected a prefix length from 0 to 128"},
      {TO("*/8:80"), "1:16: '*/8' is neither"},
      {TO("a b:80"), "1:16: 'a b' is neither"},
      {TO("web.test/24:80"), "1:16: 'web.test/24' is neither"},
      {TO("0.0.0.0:80"), "1:16: '0.0.0.0' is one address, not any; write '*:PORT' for any"},
      {TO("[::]:80"), "1:16: '[::]' is one address, not any"},
      {TO("web.test:0"), "1:16: '0' is not a port"},
      {TO("a..b:80"), "1:16: 'a..b' is neither a host name"},
      {TO(".test:80"), "1:16: '.test' is neither a host name"},
      {TO("-a.test:80"), "1:16: '-a.test' is neither a host name"},
      {TO("a-.test:80"), "1:16: 'a-.test' is neither a host name"},
      {TO("127.1.:80"), "1:16: '127.1.' is neither a host name"},
      {TO("0x7f000001:80"), "1:16: '0x7f000001' is neither a host name"},
      {TO("a.0x1:80"), "1:16: 'a.0x1' is neither a host name"},
      {TO("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test:80"), "1:16: 'aaaa"},
      {TO("caf\xc3\xa9.test:80"), "1:16: 'caf"},
      {"connect: [{to: [], mode: off}]", "1:16: to: the list is empty"},
      {"connect:\n  - to: [::1]:80", "2:10: not valid YAML"},
      {"connect: [{to: [::1], mode: off}]",
       "1:17: not valid YAML: while parsing a flow node, did not find expected node content (an [IPv6] address must"},
  };
  REFUSED(m);
}

static void what_belongs_to_modes_and_limits_is_checked(void **state) {
  (void)state;
#define LISTEN(x)  "listen: [{port: 1, mode: off, " x "}]"
#define CONNECT(x) "connect: [{to: '*:1', mode: off, " x "}]"
  static const struct mistake m[] = {
      {LISTEN("limits: {rate: 100}"), "1:46: rate: expected new connections a second, 1/s to 1000000/s, found '100'"},
      {LISTEN("limits: {rate: 0/s}"), "1:46: rate: expected new connections a second"},
      {LISTEN("limits: {rate: 5/m}"), "1:46: rate: expected new connections a second"},
      {LISTEN("limits: {rate: /s}"), "1:46: rate: expected new connections a second"},
      {LISTEN("limits: {rate: 99999999999/s}"), "1:46: rate: expected new connections a second"},
      {LISTEN("limits: {rate_per_peer: -1/s}"), "1:55: rate_per_peer: expected new connections a second"},
      {LISTEN("limits: {burst: 5}"), "1:39: limits: burst says how many"},
      {LISTEN("limits: {rate: 5/s, burst_per_peer: 5}"), "1:39: limits: burst says how many"},
      {LISTEN("limits: {connections: 0}"), "1:53: connections: expected a number from 1 to 1000000"},
      {LISTEN("limits: 5"), "1:39: expected a rule's limits as a map"},
      {LISTEN("limits: {conections: 5}"), "1:40: unknown key 'conections' in a rule's limits; the nearest known key"},
      {LISTEN("resumption: true"), "1:43: resumption: expected on or off, found 'true'"},
      {LISTEN("on_revoke: drop"), "1:42: on_revoke: expected close or keep, found 'drop'"},
      {LISTEN("on_policy_change: yes"), "1:49: on_policy_change: expected close or keep"},
      {LISTEN("plaintext_from: 10.0.0.0/8"), "1:47: plaintext_from: expected a list of addresses"},
      {LISTEN("plaintext_from: []"), "1:47: plaintext_from: expected a list of addresses"},
      {LISTEN("plaintext_from: ['*']"), "1:48: plaintext_from: '*': expected an address or a network"},
      {LISTEN("plaintext_from: [web.test]"), "1:48: plaintext_from: 'web.test': expected an address or a network"},
      {LISTEN("plaintext_from: [10.0.0.1/8]"), "1:48: '10.0.0.1/8': the address has bits set beyond"},
      {LISTEN("plaintext_from: ['fd00::/129']"), "1:48: '[fd00::]/129': expected a prefix length"},
      {LISTEN("plaintext_from: ['fd00::']\nx: 1"), "2:1: not valid YAML"},
      {LISTEN("percent: 5"), "1:31: unknown key 'percent' in a listen rule"},
      {CONNECT("sticky: thread"), "1:42: sticky: expected none or process, found 'thread'"},
      {CONNECT("on_failure: plaintext"), "1:46: on_failure: expected error or suspend, found 'plaintext'"},
      {CONNECT("suspend_for: 1ms"), "1:47: suspend_for: '1ms' is out of range (1s to 86400s)"},
      {CONNECT("alpn: h2"), "1:40: alpn: expected a list of 1 to 16 protocols"},
      {CONNECT("alpn: []"), "1:40: alpn: expected a list of 1 to 16 protocols"},
      {CONNECT("alpn: [a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a]"), "1:40: alpn: expected a list of 1 to 16 protocols"},
      {CONNECT("alpn: ['']"), "1:41: expected a protocol such as h2, found nothing"},
      {CONNECT("plaintext_from: [10.0.0.1]"), "1:34: unknown key 'plaintext_from' in a connect rule"},
      {"enforce_config: yes", "1:17: enforce_config: expected true or false, found 'yes'"},
      {"audit: {required: 1}", "1:19: required: expected true or false, found '1'"},
      {"state_dir: here", "1:12: state_dir: expected an absolute path such as /var/lib/svidwrap, found 'here'"},
      {"metrics: {listen: 9464}", "1:19: listen: expected IP:PORT, [IPv6]:PORT or unix:/PATH"},
      {"metrics: {listen: 'localhost:9464'}", "1:19: listen: expected IP:PORT"},
      {"metrics: {listen: '127.0.0.1:0'}", "1:19: listen: expected IP:PORT"},
      {"metrics: {listen: '127.0.0.1:65536'}", "1:19: listen: expected IP:PORT"},
      {"metrics: {listen: '::1:9464'}", "1:19: listen: expected IP:PORT"},
      {"metrics: {listen: 'unix:x.sock'}", "1:19: listen: expected IP:PORT"},
  };
  REFUSED(m);
}

static void the_same_coverage_twice_is_refused_and_both_lines_are_named(void **state) {
  (void)state;
  static const struct mistake m[] = {
      {"listen:\n  - {port: 6379, mode: off}\n  - {port: 6379, mode: off}",
       "3:12: 6379 is named twice, here and in line 2"},
      {"listen: [{port: [1, 1], mode: off}]", "1:21: 1 is named twice"},
      {"listen: [{port: 5-9, mode: off},\n {port: [4, '5-9'], mode: off}]",
       "2:13: 5-9 is named twice, here and in line 1"},
      {"connect:\n- {to: '10.0.0.0/8:1', mode: off}\n- {to: '[::ffff:10.0.0.0]/104:1', mode: off}",
       "3:8: 10.0.0.0/8:1 is named twice, here and in line 2"},
      {"connect:\n- {to: 'Web.test:1', mode: off}\n- {to: 'web.test.:1', mode: off}",
       "3:8: web.test:1 is named twice, here and in line 2"},
  };
  REFUSED(m);
}

static void two_rules_of_one_name_are_refused(void **state) {
  (void)state;
  static const struct mistake m[] = {
      {"listen:\n- {port: 1, name: x, mode: off}\nconnect:\n- {to: '*:1', name: x, mode: off}",
       "4:3: two rules are called 'x', this one and that in line 2"},
      {"listen:\n- {port: 1, mode: off}\n- {port: 2, name: listen 1, mode: off}",
       "3:3: two rules are called 'listen 1', this one and that in line 2"},
  };
  REFUSED(m);
}

static void variables_that_are_missing_or_malformed_are_refused(void **state) {
  (void)state;
  static const struct mistake m[] = {
      {"listen:\n  - port: ${NONE}\n", "2:11: the variable NONE is not set; set it, or write ${NONE:-default}"},
      {"log: {to: '/${}'}", "1:11: malformed variable '${}'"},
      {"log: {to: '/${PORT'}", "1:11: malformed variable '${PORT'"},
      {"log: {to: '/${1A}'}", "1:11: malformed variable"},
      {"log: {to: '/${PORT:+x}'}", "1:11: malformed variable"},
      {"log: {to: '/${NONE:-${PORT}}'}", "1:11: the default of ${NONE} must not hold another variable"},
      {"log: {to: '/${BAD}'}", "1:11: the variable BAD holds control characters"},
      {"log: {to: '/${LATIN}'}", "1:11: the variable LATIN holds control characters or is not UTF-8"},
      {"log: {to: ${PORT}}", "1:"},
      {"listen: [{port: 1, name: x${PORT}, mode: off}]", "1:28: not valid YAML"},
      {"'${PORT}': 1", "1:1: unknown key '${PORT}'"},
  };
  REFUSED(m);
}

static void yaml_that_a_configuration_does_not_need_is_refused(void **state) {
  (void)state;
  static const struct mistake m[] = {
      {"log: &x {to: stderr}", "1:6: anchors (&name) are not accepted"},
      {"audit: {to: *x}", "1:13: aliases (*name) are not accepted"},
      {"connect: [{to: *:80}]", "1:17: a value that begins with '*' must stand in quotes"},
      {"connect:\n  - to: *:80", "2:10: a value that begins with '*' must stand in quotes"},
      {"log: !!map {to: stderr}", "1:6: tags (!name) are not accepted"},
      {"io_uring: deny\n---\nio_uring: deny", "2:1: a second document"},
      {"{[a]: b}", "1:2: a key must be a plain word"},
      {"log: {to: \"a\\nb\"}", "1:11: a value must not hold control characters"},
      {"log: {to: \"a\\0b\"}", "1:11: a value must not hold control characters"},
      {"log:\n\tto: stderr", "2:1: not valid YAML"},
      {"log: {to: stderr", "2:1: not valid YAML"},
      {"log: 'x", "1:8: not valid YAML"},
      {"io_uring: deny # caf\xe9", "1:21: the file is not UTF-8"},
      {"# \xc3\xa9\nx: \xc0\xaf", "2:4: the file is not UTF-8"},
      {"# \xed\xa0\x80", "1:3: the file is not UTF-8"},
      {"# harmless \xe2\x80\xa8io_uring: allow-unsafe", "1:12: line separators (U+2028, U+2029) are not accepted"},
      {"io_uring: deny\n# \xe2\x80\xa9", "2:3: line separators"},
      {"x: \x01", "1:4: control characters are not accepted"},
      {"[[[[[[[[[[[[[[[[[[[[[[[[", "1:17: nested too deeply"},
  };
  REFUSED(m);
}

static void a_nul_byte_does_not_end_the_file(void **state) {
  (void)state;
  static const char text[] = "io_uring: deny\n\0listen: [{port: 1}]";
  char why[256];
  assert_null(policy_parse("t.yaml", text, sizeof text - 1, vars, NULL, why, sizeof why));
  assert_string_equal(why, "t.yaml:2:1: control characters are not accepted");
}

static void size_depth_and_number_are_bounded(void **state) {
  (void)state;
  char why[256];
  size_t len = 1024 * 1024 + 1;
  char *text = malloc(len);
  assert_non_null(text);
  memset(text, ' ', len);
  assert_null(policy_parse("t.yaml", text, len, vars, NULL, why, sizeof why));
  assert_string_equal(why, "t.yaml:1:1: the file is larger than 1 MiB");

  memset(text, '[', 1024 * 1024);
  assert_null(policy_parse("t.yaml", text, 1024 * 1024, vars, NULL, why, sizeof why));
  assert_non_null(strstr(why, "nested too deeply"));

  size_t at = (size_t)sprintf(text, "listen: [");
  while (at < 1024 * 1024 - 4)
    at += (size_t)sprintf(text + at, "a,");
  assert_null(policy_parse("t.yaml", text, at, vars, NULL, why, sizeof why));
  assert_non_null(strstr(why, "too many values"));

  at = (size_t)sprintf(text, "listen: [{mode: off, port: [1");
  for (int i = 2; i <= 5000; i++)
    at += (size_t)sprintf(text + at, ",%d", i);
  at += (size_t)sprintf(text + at, "]}]");
  assert_null(policy_parse("t.yaml", text, at, vars, NULL, why, sizeof why));
  assert_non_null(strstr(why, "more than 4096 port ranges"));
  free(text);
}

static void a_message_fits_whatever_room_there_is(void **state) {
  (void)state;
  char why[8];
  assert_null(policy_parse("t.yaml", "x: 1", 4, vars, NULL, why, sizeof why));
  assert_string_equal(why, "t.yaml:");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(unknown_and_repeated_keys_are_refused_with_the_nearest_known_one),
      cmocka_unit_test(wrong_types_are_refused_and_the_right_one_is_named),
      cmocka_unit_test(durations_need_a_unit_and_a_bound),
      cmocka_unit_test(a_rule_that_is_not_off_must_say_who_is_allowed),
      cmocka_unit_test(patterns_that_do_not_mean_what_they_seem_to_are_refused),
      cmocka_unit_test(ports_and_destinations_that_cannot_be_read_exactly_are_refused),
      cmocka_unit_test(what_belongs_to_modes_and_limits_is_checked),
      cmocka_unit_test(the_same_coverage_twice_is_refused_and_both_lines_are_named),
      cmocka_unit_test(two_rules_of_one_name_are_refused),
      cmocka_unit_test(variables_that_are_missing_or_malformed_are_refused),
      cmocka_unit_test(yaml_that_a_configuration_does_not_need_is_refused),
      cmocka_unit_test(a_nul_byte_does_not_end_the_file),
      cmocka_unit_test(size_depth_and_number_are_bounded),
      cmocka_unit_test(a_message_fits_whatever_room_there_is),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
