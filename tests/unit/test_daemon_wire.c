/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does wire_check() let through what the shim sends, and nothing else?
 */
#include "agentclient/daemon/wirecheck.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void header(void *msg, enum wire_type type, size_t len) {
  struct wire_hdr h = {.magic = WIRE_MAGIC, .version = WIRE_VERSION, .type = (uint16_t)type, .length = (uint32_t)len};
  memcpy(msg, &h, sizeof h);
}

static struct wire_listen a_listen(enum wire_type type) {
  struct wire_listen m = {.backlog = 5, .local_len = 16};
  header(&m, type, sizeof m);
  strcpy(m.name, "svidwrap/0123456789abcdef0123456789abcdef");
  return m;
}

static void messages_of_the_right_size_and_descriptors_pass(void **state) {
  (void)state;
  struct wire_listen l = a_listen(WIRE_LISTEN);
  assert_int_equal(wire_check(&l, sizeof l, 1), WIRE_OK);
  assert_int_equal(wire_check(&l, sizeof l, 0), WIRE_BAD_REQUEST);
  assert_int_equal(wire_check(&l, sizeof l, 2), WIRE_BAD_REQUEST);
  l = a_listen(WIRE_ADOPT);
  assert_int_equal(wire_check(&l, sizeof l, 1), WIRE_OK);
  assert_int_equal(wire_check(&l, sizeof l, 0), WIRE_BAD_REQUEST);
  for (enum wire_type t = WIRE_UNLISTEN; t <= WIRE_SYNC; t++) {
    l = a_listen(t);
    assert_int_equal(wire_check(&l, sizeof l, 0), WIRE_OK);
    assert_int_equal(wire_check(&l, sizeof l, 1), WIRE_BAD_REQUEST);
  }
  struct wire_connect c = {.dest_len = 16};
  header(&c, WIRE_CONNECT, sizeof c);
  assert_int_equal(wire_check(&c, sizeof c, 1), WIRE_OK);
  c.dest_len = sizeof c.dest + 1;
  assert_int_equal(wire_check(&c, sizeof c, 1), WIRE_BAD_REQUEST);
  struct wire_hdr s;
  header(&s, WIRE_STATUS, sizeof s);
  assert_int_equal(wire_check(&s, sizeof s, 0), WIRE_OK);
  assert_int_equal(wire_check(&s, sizeof s, 1), WIRE_BAD_REQUEST);
}

static void a_header_that_lies_is_refused(void **state) {
  (void)state;
  struct wire_listen good = a_listen(WIRE_UNLISTEN), m = good;
  m.hdr.length--;
  assert_int_equal(wire_check(&m, sizeof m, 0), WIRE_BAD_REQUEST);
  m = good;
  m.hdr.magic ^= 1;
  assert_int_equal(wire_check(&m, sizeof m, 0), WIRE_BAD_REQUEST);
  m = good;
  m.hdr.reserved = 1;
  assert_int_equal(wire_check(&m, sizeof m, 0), WIRE_BAD_REQUEST);
  m = good;
  m.hdr.type = WIRE_WELCOME; /* ours to send, not to get */
  assert_int_equal(wire_check(&m, sizeof m, 0), WIRE_BAD_REQUEST);
  m = good;
  m.hdr.version = WIRE_VERSION + 1;
  assert_int_equal(wire_check(&m, sizeof m, 0), WIRE_VERSION_MISMATCH);
  for (size_t len = 0; len < sizeof good; len++)
    assert_int_not_equal(wire_check(&good, len, 0), WIRE_OK);
}

static void a_stand_ins_name_is_exact(void **state) {
  (void)state;
  static const char *bad[] = {"svidwrap/0123456789abcdef0123456789abcdeF", "svidwrap/0123456789abcdef0123456789abcde",
                              "svidwrap/daemon/0", "svidwrap-0123456789abcdef0123456789abcdef", ""};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct wire_listen m = a_listen(WIRE_UNLISTEN);
    memset(m.name, 0, sizeof m.name);
    memcpy(m.name, bad[i], strlen(bad[i]));
    assert_int_equal(wire_check(&m, sizeof m, 0), WIRE_BAD_REQUEST);
  }
  struct wire_listen m = a_listen(WIRE_UNLISTEN);
  m.name[WIRE_NAME_LEN - 1] = 'a';
  assert_int_equal(wire_check(&m, sizeof m, 0), WIRE_BAD_REQUEST);
}

static void host_names_are_terminated_and_harmless(void **state) {
  (void)state;
  struct wire_connect c = {.dest_len = 16, .hosts = {.count = 1, .name = {"db.internal"}}};
  header(&c, WIRE_CONNECT, sizeof c);
  assert_int_equal(wire_check(&c, sizeof c, 1), WIRE_OK);
  c.hosts.count = 2; /* the second one is empty */
  assert_int_equal(wire_check(&c, sizeof c, 1), WIRE_BAD_REQUEST);
  c.hosts.count = RULES_HOSTS_MAX + 1;
  assert_int_equal(wire_check(&c, sizeof c, 1), WIRE_BAD_REQUEST);
  c.hosts.count = 1;
  memset(c.hosts.name[0], 'a', sizeof c.hosts.name[0]);
  assert_int_equal(wire_check(&c, sizeof c, 1), WIRE_BAD_REQUEST);
  c.hosts.name[0][255] = 0;
  assert_int_equal(wire_check(&c, sizeof c, 1), WIRE_OK);
  c.hosts.name[0][5] = '\n';
  assert_int_equal(wire_check(&c, sizeof c, 1), WIRE_BAD_REQUEST);
}

struct hello {
  struct wire_hello h;
  char rest[256];
};

static size_t a_hello(struct hello *m, const char *path, const char *vars, size_t vars_len, const char *program) {
  memset(m, 0, sizeof *m);
  m->h.path_len = (uint32_t)strlen(path);
  m->h.vars_len = (uint32_t)vars_len;
  m->h.program_len = (uint32_t)strlen(program);
  memcpy(m->rest, path, m->h.path_len);
  memcpy(m->rest + m->h.path_len, vars, vars_len);
  memcpy(m->rest + m->h.path_len + vars_len, program, m->h.program_len);
  size_t len = sizeof m->h + m->h.path_len + vars_len + m->h.program_len;
  header(&m->h, WIRE_HELLO, len);
  return len;
}

static void hello_is_taken_apart_by_its_lengths(void **state) {
  (void)state;
  struct hello m;
  size_t len = a_hello(&m, "/etc/a.yaml", "A=1\0BB=22", 10, "redis");
  assert_int_equal(wire_check(&m, len, 1), WIRE_OK);
  struct wire_hello_parts p;
  wire_hello_split(&m, &p);
  assert_memory_equal(p.path, "/etc/a.yaml", p.path_len);
  assert_int_equal(p.program_len, 5);
  assert_memory_equal(p.program, "redis", 5);
  assert_string_equal(wire_vars_find(p.vars, p.vars_len, "BB"), "22");
  assert_null(wire_vars_find(p.vars, p.vars_len, "B"));
  assert_null(wire_vars_find(p.vars, p.vars_len, "1"));
  assert_int_equal(wire_check(&m, len, 0), WIRE_BAD_REQUEST); /* no file, and no reason why */
  m.h.config_errno = 2;
  assert_int_equal(wire_check(&m, len, 0), WIRE_OK);
}

static void hello_with_lengths_that_do_not_add_up_is_refused(void **state) {
  (void)state;
  struct hello m;
  size_t len = a_hello(&m, "/etc/a.yaml", "A=1", 4, "redis");
  m.h.vars_len = UINT32_MAX;
  assert_int_equal(wire_check(&m, len, 1), WIRE_BAD_REQUEST);
  m.h.vars_len = 5;
  assert_int_equal(wire_check(&m, len, 1), WIRE_BAD_REQUEST);
  m.h.vars_len = UINT32_MAX - 3; /* sums wrap around in 32 bits */
  m.h.path_len += 8;
  assert_int_equal(wire_check(&m, len, 1), WIRE_BAD_REQUEST);
  len = a_hello(&m, "etc/a.yaml", "A=1", 4, "redis");
  assert_int_equal(wire_check(&m, len, 1), WIRE_BAD_REQUEST);
  len = a_hello(&m, "/etc/a.yaml", "A=1x", 4, "redis"); /* not terminated */
  assert_int_equal(wire_check(&m, len, 1), WIRE_BAD_REQUEST);
  len = a_hello(&m, "/etc/a.yaml", "=1", 3, "redis");
  assert_int_equal(wire_check(&m, len, 1), WIRE_BAD_REQUEST);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(messages_of_the_right_size_and_descriptors_pass),
      cmocka_unit_test(a_header_that_lies_is_refused),
      cmocka_unit_test(a_stand_ins_name_is_exact),
      cmocka_unit_test(host_names_are_terminated_and_harmless),
      cmocka_unit_test(hello_is_taken_apart_by_its_lengths),
      cmocka_unit_test(hello_with_lengths_that_do_not_add_up_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
