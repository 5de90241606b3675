/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_audit.c - an audit line is one JSON object with every key in its place, whoever chose its strings.
 */
#include "agentclient/observe/audit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char *written(const struct audit_event *e) {
  char path[] = "/tmp/svidwrap-test-audit-XXXXXX", why[256];
  int fd = mkstemp(path);
  static char buf[32768];
  assert_true(fd >= 0);
  struct log *l = log_open(path, POLICY_LOG_JSON, POLICY_LOG_ERROR, false, why, sizeof why);
  assert_non_null(l);
  assert_int_equal(audit_write(l, e), 0);
  log_unref(l);
  unlink(path);
  ssize_t n = pread(fd, buf, sizeof buf - 1, 0);
  close(fd);
  assert_true(n > 0);
  buf[n] = '\0';
  assert_int_equal(buf[n - 1], '\n');
  assert_ptr_equal(strchr(buf, '\n'), buf + n - 1);
  return buf;
}

static void keys_stand_in_the_documented_order(void **state) {
  (void)state;
  static const char *const order[] = {
      "timestamp", "event",  "result", "direction", "client_spiffe_id", "server_spiffe_id", "rule",
      "local",     "remote", "reason", "pid",       "program"};
  struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(6379)};
  struct sockaddr_in6 remote = {.sin6_family = AF_INET6, .sin6_port = htons(40000)};
  inet_pton(AF_INET, "127.0.0.1", &local.sin_addr);
  inet_pton(AF_INET6, "2001:db8::1", &remote.sin6_addr);
  struct audit_event e = {.event = "connection",
                          .result = "denied",
                          .direction = "inbound",
                          .client_spiffe_id = "spiffe://example.org/web",
                          .server_spiffe_id = "spiffe://example.org/redis",
                          .rule = "listen 6379",
                          .local = (struct sockaddr *)&local,
                          .remote = (struct sockaddr *)&remote,
                          .reason = "not in allow",
                          .pid = 4711,
                          .program = "redis-server"};
  json_t *o = json_loads(written(&e), 0, NULL), *v;
  assert_non_null(o);
  size_t i = 0;
  const char *key;
  json_object_foreach(o, key, v) {
    assert_true(i < sizeof order / sizeof *order);
    assert_string_equal(key, order[i++]);
  }
  assert_int_equal(i, sizeof order / sizeof *order);
  assert_string_equal(json_string_value(json_object_get(o, "local")), "127.0.0.1:6379");
  assert_string_equal(json_string_value(json_object_get(o, "remote")), "[2001:db8::1]:40000");
  assert_string_equal(json_string_value(json_object_get(o, "result")), "denied");
  assert_int_equal(json_integer_value(json_object_get(o, "pid")), 4711);
  const char *stamp = json_string_value(json_object_get(o, "timestamp"));
  int y, mo, d, h, mi, s, us, end = 0;
  assert_int_equal(sscanf(stamp, "%4d-%2d-%2dT%2d:%2d:%2d.%6dZ%n", &y, &mo, &d, &h, &mi, &s, &us, &end), 7);
  assert_int_equal(end, 27);
  json_decref(o);
}

static void what_is_unknown_is_an_empty_string(void **state) {
  (void)state;
  struct audit_event e = {.event = "connection", .result = "failed", .direction = "outbound"};
  json_t *o = json_loads(written(&e), 0, NULL);
  assert_non_null(o);
  assert_int_equal(json_object_size(o), 12);
  static const char *const empty[] = {"client_spiffe_id", "server_spiffe_id", "rule", "local", "remote", "program"};
  for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
    assert_string_equal(json_string_value(json_object_get(o, empty[i])), "");
  json_decref(o);
}

static void strings_from_outside_cannot_forge_a_line_or_lose_it(void **state) {
  (void)state;
  struct audit_event e = {.event = "connection",
                          .result = "denied",
                          .direction = "inbound",
                          .reason = "x\",\"result\":\"allowed\"\n{}",
                          .program = "evil\xff\x1b[1m"};
  json_t *o = json_loads(written(&e), 0, NULL);
  assert_non_null(o);
  assert_string_equal(json_string_value(json_object_get(o, "result")), "denied");
  assert_string_equal(json_string_value(json_object_get(o, "reason")), "x\",\"result\":\"allowed\"\\n{}");
  assert_string_equal(json_string_value(json_object_get(o, "program")), "evil\\xff\\x1b[1m");
  json_decref(o);
}

static void the_longest_spiffe_ids_are_not_cut(void **state) {
  (void)state;
  char id[2049] = "spiffe://example.org/";
  memset(id + 21, 'a', 2048 - 21);
  struct audit_event e = {.event = "connection",
                          .result = "allowed",
                          .direction = "inbound",
                          .client_spiffe_id = id,
                          .server_spiffe_id = id};
  json_t *o = json_loads(written(&e), 0, NULL);
  assert_non_null(o);
  assert_string_equal(json_string_value(json_object_get(o, "client_spiffe_id")), id);
  assert_string_equal(json_string_value(json_object_get(o, "server_spiffe_id")), id);
  json_decref(o);
}

static void addresses_are_written_as_people_write_them(void **state) {
  (void)state;
  char buf[64];
  struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
  inet_pton(AF_INET6, "::ffff:192.0.2.1", &in6.sin6_addr);
  assert_string_equal(audit_address((struct sockaddr *)&in6, buf, sizeof buf), "192.0.2.1:80");
  inet_pton(AF_INET6, "::1", &in6.sin6_addr);
  assert_string_equal(audit_address((struct sockaddr *)&in6, buf, sizeof buf), "[::1]:80");
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  assert_string_equal(audit_address((struct sockaddr *)&un, buf, sizeof buf), "");
  assert_string_equal(audit_address(NULL, buf, sizeof buf), "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(keys_stand_in_the_documented_order),
      cmocka_unit_test(what_is_unknown_is_an_empty_string),
      cmocka_unit_test(strings_from_outside_cannot_forge_a_line_or_lose_it),
      cmocka_unit_test(the_longest_spiffe_ids_are_not_cut),
      cmocka_unit_test(addresses_are_written_as_people_write_them),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
