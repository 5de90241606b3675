/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Orders of an operator, spoken by hand: carried out in all configurations or in none, undone in the opposite order,
 * and whatever else comes in their place does no harm.
 */
#include "support_daemon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const staged =
    "listen:\n"
    "  - { name: r, port: 22150, mode: off, allow: [ \"spiffe://example.org/web\" ] }\n";
static const char *const bare = "listen:\n"
                                "  - { name: r, port: 22151, mode: off }\n";
static const char *const other = "connect:\n"
                                 "  - { name: out, to: \"127.0.0.1:22152\", mode: off, allow: [ "
                                 "\"spiffe://example.org/web\" ] }\n"
                                 "  - { name: by name, to: \"db.test:22152\", mode: off, allow: [ "
                                 "\"spiffe://example.org/web\" ] }\n";

/* Sends a request as it is, or in a descriptor; the answer's status, its text and its document. */
static struct wire_reply raw(const char *text, int fd, json_t **doc) {
  size_t len = sizeof(struct wire_hdr) + (text ? strlen(text) : 0);
  char *msg = calloc(1, len + 1);
  struct wire_reply r = {.status = -1};
  int s = dial_daemon(), fds[WIRE_FDS_MAX] = {-1, -1};
  header(msg, WIRE_ADMIN, len);
  if (text)
    memcpy(msg + sizeof(struct wire_hdr), text, strlen(text));
  send_message(s, msg, len, fd);
  free(msg);
  if (receive(s, &r, sizeof r, fds) <= 0)
    r.status = -1;
  close(s);
  *doc = fds[0] >= 0 && lseek(fds[0], 0, SEEK_SET) == 0 ? json_loadfd(fds[0], 0, NULL) : NULL;
  for (int i = 0; i < WIRE_FDS_MAX; i++)
    if (fds[i] >= 0)
      close(fds[i]);
  return r;
}

static struct wire_reply order(const char *text, size_t *changes) {
  json_t *doc;
  struct wire_reply r = raw(text, -1, &doc);
  *changes = json_array_size(json_object_get(doc, "changes"));
  json_decref(doc);
  return r;
}

static struct program begin(const char *rules) {
  struct program p;
  config_rules(rules);
  say_hello(&p);
  assert_int_equal(p.welcome.status, WIRE_OK);
  return p;
}

/* The first entry of a program's rules: "permissive", "canary 25". */
static const char *mode_of(const struct program *p, unsigned entry) {
  static const char *const names[] = {"off", "permissive", "canary", "enforce"};
  static char text[32];
  struct rules_table *t = mmap(NULL, sizeof *t, PROT_READ, MAP_SHARED, p->rules, 0);
  assert_true(t != MAP_FAILED);
  assert_true(t->count > entry);
  const struct rules_entry *e = &t->entry[entry];
  snprintf(text, sizeof text, e->mode == RULES_CANARY ? "%s %u" : "%s", names[e->mode & 3], e->percent);
  munmap(t, sizeof *t);
  return text;
}

static void an_order_holds_in_every_configuration_or_in_none(void **state) {
  (void)state;
  size_t n;
  struct program p = begin(staged), q = begin(bare);
  struct wire_reply r = order("{\"verb\": \"mode\", \"rule\": \"r\", \"mode\": \"enforce\"}", &n);
  assert_int_equal(r.status, WIRE_REFUSED);
  assert_non_null(strstr(r.text, "allow"));
  assert_string_equal(mode_of(&p, 0), "off");
  end_program(&q);
  eventually(order("{\"verb\": \"mode\", \"rule\": \"r\", \"mode\": \"enforce\"}", &n).status == WIRE_OK);
  assert_string_equal(mode_of(&p, 0), "enforce");
  end_program(&p);
}

static void rules_are_found_by_port_and_destination(void **state) {
  (void)state;
  size_t n;
  struct program p = begin(staged), q = begin(other);
  assert_int_equal(order("{\"verb\": \"mode\", \"rule\": \"22150\", \"mode\": \"permissive\"}", &n).status, WIRE_OK);
  assert_string_equal(mode_of(&p, 0), "permissive");
  assert_int_equal(
      order("{\"verb\": \"mode\", \"rule\": \"127.0.0.1:22152\", \"mode\": \"canary\", \"percent\": 7}", &n).status,
      WIRE_OK);
  assert_string_equal(mode_of(&q, 0), "canary 7");
  assert_int_equal(order("{\"verb\": \"mode\", \"rule\": \"DB.test:22152\", \"mode\": \"enforce\"}", &n).status,
                   WIRE_OK);
  assert_string_equal(mode_of(&q, 0), "canary 7");
  assert_string_equal(mode_of(&q, 1), "enforce");
  assert_int_equal(order("{\"verb\": \"mode\", \"rule\": \"no.test:22152\", \"mode\": \"enforce\"}", &n).status,
                   WIRE_REFUSED);
  end_program(&p);
  end_program(&q);
}

static void a_mode_holds_for_the_next_program(void **state) {
  (void)state;
  size_t n;
  struct program p = begin(staged);
  assert_int_equal(order("{\"verb\": \"mode\", \"rule\": \"r\", \"mode\": \"permissive\"}", &n).status, WIRE_OK);
  end_program(&p);
  p = begin(staged);
  assert_string_equal(mode_of(&p, 0), "permissive");
  assert_int_equal(order("{\"verb\": \"rollback\"}", &n).status, WIRE_OK);
  assert_string_equal(mode_of(&p, 0), "off");
  end_program(&p);
}

static void changes_are_undone_in_the_opposite_order(void **state) {
  (void)state;
  size_t n;
  char text[128];
  struct program p = begin(other);
  struct wire_reply r = order("{\"verb\": \"rollback\"}", &n);
  assert_int_equal(r.status, WIRE_REFUSED);
  assert_non_null(strstr(r.text, "nothing to undo"));
  for (int i = 1; i <= 20; i++) {
    snprintf(text, sizeof text, "{\"verb\": \"mode\", \"rule\": \"out\", \"mode\": \"canary\", \"percent\": %d}", i);
    assert_int_equal(order(text, &n).status, WIRE_OK);
    assert_int_equal(n, 1);
    assert_int_equal(order(text, &n).status, WIRE_OK); /* it is so already: nothing to undo */
    assert_int_equal(n, 0);
  }
  for (int i = 19; i >= 4; i--) { /* sixteen are remembered */
    assert_int_equal(order("{\"verb\": \"rollback\"}", &n).status, WIRE_OK);
    snprintf(text, sizeof text, "canary %d", i);
    assert_string_equal(mode_of(&p, 0), text);
  }
  assert_int_equal(order("{\"verb\": \"rollback\"}", &n).status, WIRE_REFUSED);
  assert_string_equal(mode_of(&p, 0), "canary 4");
  end_program(&p);
}

static void a_file_that_the_daemon_does_not_know_is_not_edited(void **state) {
  (void)state;
  json_t *doc;
  struct program p = begin(staged);
  struct wire_reply r =
      raw("{\"verb\": \"mode\", \"rule\": \"r\", \"mode\": \"enforce\", \"persist\": true}", -1, &doc);
  assert_int_equal(r.status, WIRE_OK);
  const char *path = json_string_value(json_array_get(json_object_get(doc, "files_wanted"), 0));
  assert_non_null(path);
  assert_string_equal(mode_of(&p, 0), "off");
  for (int known = 0; known < 2; known++) {
    json_t *answer, *request = json_pack("{s:s, s:s, s:s, s:b, s:{s:s}}", "verb", "mode", "rule", "r", "mode",
                                         "enforce", "persist", 1, "files", path, known ? config_text : staged);
    char *text = json_dumps(request, JSON_COMPACT);
    r = raw(text, -1, &answer);
    assert_int_equal(r.status, known ? WIRE_OK : WIRE_REFUSED);
    assert_string_equal(mode_of(&p, 0), known ? "enforce" : "off");
    if (known) {
      const char *edited = json_string_value(json_object_get(json_object_get(answer, "files"), path));
      assert_non_null(edited);
      assert_non_null(strstr(edited, "mode: enforce"));
      struct program between; /* begins before the file is written: it has the same policy */
      say_hello(&between);
      assert_string_equal(mode_of(&between, 0), "enforce");
      end_program(&between);
    } else {
      assert_non_null(strstr(r.text, "not what the daemon has in force"));
    }
    free(text);
    json_decref(request);
    json_decref(answer);
  }
  json_decref(doc);
  end_program(&p);
}

static void what_is_no_order_does_no_harm(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int status;
  } bad[] = {
      {"{", WIRE_BAD_REQUEST},
      {"[]", WIRE_BAD_REQUEST},
      {"\"report\"", WIRE_BAD_REQUEST},
      {"{\"verb\": 1}", WIRE_BAD_REQUEST},
      {"{\"verb\": \"key\"}", WIRE_BAD_REQUEST},
      {"{\"verb\": \"report\", \"verb\": \"report\"}", WIRE_BAD_REQUEST},
      {"{\"verb\": \"report\"}", WIRE_REFUSED},
      {"{\"verb\": \"report\", \"since\": -1}", WIRE_REFUSED},
      {"{\"verb\": \"report\", \"since\": \"1h\"}", WIRE_REFUSED},
      {"{\"verb\": \"mode\"}", WIRE_REFUSED},
      {"{\"verb\": \"mode\", \"rule\": \"r\", \"mode\": \"on\"}", WIRE_REFUSED},
      {"{\"verb\": \"mode\", \"rule\": \"r\", \"mode\": \"enforce\", \"percent\": 101}", WIRE_REFUSED},
      {"{\"verb\": \"mode\", \"rule\": \"r\", \"mode\": \"enforce\", \"config\": \"/other\"}", WIRE_REFUSED},
      {"{\"verb\": \"mode\", \"rule\": \":::\", \"mode\": \"enforce\"}", WIRE_REFUSED},
      {"{\"verb\": \"mode\", \"rule\": \"22150:\", \"mode\": \"enforce\"}", WIRE_REFUSED},
      {"{\"verb\": \"mode\", \"rule\": \"99999\", \"mode\": \"enforce\"}", WIRE_REFUSED},
  };
  json_t *doc;
  struct program p = begin(staged);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct wire_reply r = raw(bad[i].text, -1, &doc);
    assert_int_equal(r.status, bad[i].status);
    assert_int_not_equal(r.text[0], '\0');
    assert_null(doc);
  }
  assert_int_equal(raw(NULL, -1, &doc).status, -1); /* no request at all */
  assert_string_equal(mode_of(&p, 0), "off");
  end_program(&p);
}

static void a_request_may_come_in_a_sealed_memfd_only(void **state) {
  (void)state;
  static const char text[] = "{\"verb\": \"mode\", \"rule\": \"r\", \"mode\": \"enforce\"}";
  json_t *doc;
  struct program p = begin(staged);
  int fd = memfd_create("request", MFD_ALLOW_SEALING), zero = open("/dev/zero", O_RDONLY);
  assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
  assert_int_equal(raw(NULL, fd, &doc).status, WIRE_BAD_REQUEST); /* it could shrink under our feet */
  assert_int_equal(raw(NULL, zero, &doc).status, WIRE_BAD_REQUEST);
  assert_int_equal(raw(text, fd, &doc).status, -1); /* one or the other */
  assert_string_equal(mode_of(&p, 0), "off");
  assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
  assert_int_equal(raw(NULL, fd, &doc).status, WIRE_OK);
  json_decref(doc);
  assert_string_equal(mode_of(&p, 0), "enforce");
  close(fd);
  close(zero);
  end_program(&p);
}

int main(void) {
#define WITH_DAEMON(f) cmocka_unit_test_setup_teardown(f, daemon_setup, daemon_teardown)
  const struct CMUnitTest tests[] = {
      WITH_DAEMON(an_order_holds_in_every_configuration_or_in_none),
      WITH_DAEMON(rules_are_found_by_port_and_destination),
      WITH_DAEMON(a_mode_holds_for_the_next_program),
      WITH_DAEMON(changes_are_undone_in_the_opposite_order),
      WITH_DAEMON(a_file_that_the_daemon_does_not_know_is_not_edited),
      WITH_DAEMON(what_is_no_order_does_no_harm),
      WITH_DAEMON(a_request_may_come_in_a_sealed_memfd_only),
  };
  return cmocka_run_group_tests(tests, daemon_group_setup, daemon_group_teardown);
}
