/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions: what does a program get for its HELLO, and what can a bad one do to the others?
 */
#include "support_daemon.h"
#include "agentclient/daemon/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void hello_brings_an_arena_that_nobody_can_shrink(void **state) {
  (void)state;
  struct program p;
  say_hello(&p);
  assert_int_equal(p.welcome.status, WIRE_OK);
  assert_string_equal(p.welcome.endpoint, "unix:///run/agent.sock");
  struct stat st;
  assert_int_equal(fstat(p.arena, &st), 0);
  assert_int_equal(st.st_size, (off_t)ARENA_SLOTS * ARENA_STRIDE);
  assert_int_equal(ftruncate(p.arena, 0), -1);
  assert_true(p.welcome.arena_id != 0);
  end_program(&p);
}

static void the_rules_can_be_read_and_not_written(void **state) {
  (void)state;
  struct program p;
  say_hello(&p);
  assert_true(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, p.rules, 0) == MAP_FAILED);
  struct rules_table *t = mmap(NULL, sizeof *t, PROT_READ, MAP_SHARED, p.rules, 0);
  assert_true(t != MAP_FAILED);
  assert_int_equal(mprotect(t, sizeof *t, PROT_READ | PROT_WRITE), -1);
  struct sockaddr_in in = {
      .sin_family = AF_INET, .sin_port = htons(22150), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct rules_entry e;
  uint8_t addr[16];
  uint16_t port;
  rules_address((struct sockaddr *)&in, sizeof in, addr, &port);
  assert_int_equal(rules_match(t, RULES_LISTEN, addr, port, &e), 1);
  assert_int_equal(e.mode, RULES_ENFORCE);
  assert_int_equal(rules_match(t, RULES_LISTEN, addr, 9, &e), 0);
  munmap(t, sizeof *t);
  end_program(&p);
}

static void a_bad_configuration_is_named_with_its_place(void **state) {
  (void)state;
  struct program p;
  config_text = "listen:\n  - port: banana\n";
  say_hello(&p);
  assert_int_equal(p.welcome.status, WIRE_BAD_CONFIG);
  assert_int_not_equal(p.welcome.err, 0);
  assert_int_equal(p.arena, -1);
  assert_non_null(strstr(p.welcome.text, "/etc/test.yaml:2:"));
  end_program(&p);
}

static void rubbish_costs_its_sender_the_connection_and_nobody_else(void **state) {
  (void)state;
  struct program p;
  say_hello(&p);
  unsigned before = open_fds();
  srand(7);
  for (int i = 0; i < 300; i++) {
    char msg[2048], byte;
    size_t len = sizeof(struct wire_hdr) + (size_t)rand() % (sizeof msg - sizeof(struct wire_hdr));
    for (size_t j = 0; j < len; j++)
      msg[j] = (char)rand();
    if (i % 2) /* a good header over it */
      header(msg, (enum wire_type)(1 + rand() % 12), len);
    int sock = dial_daemon(), pair[2];
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    send_message(sock, msg, len, i % 3 ? pair[0] : -1);
    close(pair[0]);
    close(pair[1]);
    assert_true(readable(sock, 10000));
    while (recv(sock, &byte, 1, 0) > 0) {
    }
    close(sock);
  }
  struct wire_reply r = give_agent(&p, 10000);
  assert_int_equal(r.status, WIRE_OK);
  end_program(&p);
  eventually(open_fds() <= before);
}

static void another_version_is_told_so(void **state) {
  (void)state;
  struct wire_hdr h;
  struct wire_reply r;
  header(&h, WIRE_STATUS, sizeof h);
  h.version++;
  int sock = dial_daemon();
  send_message(sock, &h, sizeof h, -1);
  assert_int_equal(receive(sock, &r, sizeof r, NULL), sizeof r);
  assert_int_equal(r.status, WIRE_VERSION_MISMATCH);
  close(sock);
}

static void an_unknown_token_is_told_so(void **state) {
  (void)state;
  struct program p;
  say_hello(&p);
  p.welcome.token.bytes[3] ^= 1;
  struct wire_reply r = give_agent(&p, 0);
  assert_int_equal(r.status, WIRE_UNKNOWN_SESSION);
  end_program(&p);
}

static void a_session_ends_with_the_last_holder_of_its_socket(void **state) {
  (void)state;
  struct program p;
  say_hello(&p);
  int copy = dup(p.control); /* as a forked child has it */
  struct wire_token token = p.welcome.token;
  end_program(&p);
  struct program q = {.welcome.token = token};
  assert_int_equal(give_agent(&q, 10000).status, WIRE_OK);
  close(copy);
  eventually(give_agent(&q, 10000).status == WIRE_UNKNOWN_SESSION);
}

static void another_user_is_not_served(void **state) {
  (void)state;
  if (geteuid() != 0)
    skip();
  struct program p;
  say_hello(&p);
  pid_t child = fork();
  if (child == 0) {
    /* A root-run daemon serves all; the token of another uid's session opens nothing. */
    if (setresuid(65534, 65534, 65534) != 0)
      _exit(2);
    struct wire_arena m = {.token = p.welcome.token, .arena_id = p.welcome.arena_id};
    struct wire_reply r = {0};
    header(&m, WIRE_ARENA, sizeof m);
    int sock = dial_daemon();
    send_message(sock, &m, sizeof m, -1);
    _exit(receive(sock, &r, sizeof r, NULL) == sizeof r && r.status == WIRE_UNKNOWN_SESSION ? 0 : 1);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  end_program(&p);
}

/* A file of the daemon's user is trusted to name log files and the agent; another user's program, which brings the
 * variables, is not. */
static void variables_of_another_user_name_no_file(void **state) {
  (void)state;
  static const char vars[] = "A=/tmp/svidwrap-unit-victim\0SPIFFE_ENDPOINT_SOCKET=unix:///tmp/fake.sock";
  struct config_list all = LIST_HEAD_INITIALIZER(all);
  struct config_source src = {.path = "/etc/test.yaml", .vars = vars, .vars_len = sizeof vars, .uid = geteuid() + 1};
  char why[512];
  unlink("/tmp/svidwrap-unit-victim");
  config_text = "audit: { to: \"${A}\" }\n";
  src.fd = config_fd();
  struct config *c = config_shared(&all, &src, why, sizeof why);
  assert_non_null(c);
  assert_int_equal(access("/tmp/svidwrap-unit-victim", F_OK), -1);
  src.uid = geteuid(); /* not shared with who may */
  struct config *own = config_shared(&all, &src, why, sizeof why);
  assert_non_null(own);
  assert_ptr_not_equal(own, c);
  assert_int_equal(access("/tmp/svidwrap-unit-victim", F_OK), 0);
  unlink("/tmp/svidwrap-unit-victim");
  config_unref(own);
  config_unref(c);
  close(src.fd);
  static const char *const agents[] = {"identity: { scope: daemon }\n",
                                       "identity: { scope: daemon }\nworkload_api: { socket: \"unix://${A}\" }\n",
                                       "identity: { scope: \"${S:-daemon}\" }\n"};
  for (unsigned i = 0; i < 3; i++) {
    config_text = agents[i];
    src.fd = config_fd();
    src.uid = geteuid() + 1;
    assert_null(config_shared(&all, &src, why, sizeof why));
    assert_non_null(strstr(why, "without variables"));
    src.uid = geteuid();
    c = config_shared(&all, &src, why, sizeof why);
    assert_non_null(c);
    config_unref(c);
    close(src.fd);
  }
}

/* A root-run daemon serves all: one user's silence must not keep the others out. */
static void a_flood_of_another_user_keeps_nobody_out(void **state) {
  (void)state;
  if (geteuid() != 0)
    skip();
  int pair[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  pid_t child = fork();
  if (child == 0) {
    struct rlimit lim = {2048, 2048};
    if (setrlimit(RLIMIT_NOFILE, &lim) != 0 || setresuid(65534, 65534, 65534) != 0)
      _exit(2);
    for (int i = 0; i < 600; i++)
      dial_daemon();
    char byte = 0;
    _exit(write(pair[1], &byte, 1) == 1 && read(pair[1], &byte, 1) == 1 ? 0 : 1);
  }
  char byte;
  assert_int_equal(read(pair[0], &byte, 1), 1);
  struct program p;
  say_hello(&p);
  assert_int_equal(p.welcome.status, WIRE_OK);
  end_program(&p);
  assert_int_equal(write(pair[0], &byte, 1), 1);
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  close(pair[0]);
  close(pair[1]);
}

static void identity_answers_when_the_agent_has_spoken(void **state) {
  (void)state;
  struct program p;
  say_hello(&p);
  struct wire_reply r = give_agent(&p, 10000);
  assert_int_equal(r.status, WIRE_OK);
  assert_string_equal(r.text, "spiffe://example.org/self");
  end_program(&p);
}

static void a_denied_identity_names_agent_cause_and_cure(void **state) {
  (void)state;
  struct program p;
  agent_mode = AGENT_DENIES;
  say_hello(&p);
  struct wire_reply r = give_agent(&p, 10000);
  assert_int_equal(r.status, WIRE_NO_IDENTITY);
  assert_non_null(strstr(r.text, "unix:///run/agent.sock answered PermissionDenied: no identity issued"));
  assert_non_null(strstr(r.text, "registration entry"));
  assert_non_null(strstr(r.text, "test_daemon_control"));
  end_program(&p);
}

/* A program that waits dials again and again: what it reports in the end is the agent's last answer. */
static void the_last_answer_outlives_a_new_attempt(void **state) {
  (void)state;
  struct program p;
  agent_mode = AGENT_DENIES;
  say_hello(&p);
  struct wire_reply r = give_agent(&p, 10000);
  assert_non_null(strstr(r.text, "PermissionDenied: no identity issued"));
  agent_mode = AGENT_SILENT;
  r = give_agent(&p, 50);
  assert_int_equal(r.status, WIRE_NO_IDENTITY);
  assert_non_null(strstr(r.text, "PermissionDenied: no identity issued"));
  end_program(&p);
}

static void a_silent_agent_is_waited_for_no_longer_than_asked(void **state) {
  (void)state;
  struct program p;
  agent_mode = AGENT_SILENT;
  say_hello(&p);
  struct wire_reply r = give_agent(&p, 100);
  assert_int_equal(r.status, WIRE_NO_IDENTITY);
  assert_non_null(strstr(r.text, "not answered"));
  end_program(&p);
}

static void an_agent_that_cannot_be_dialed_is_named(void **state) {
  (void)state;
  struct program p;
  say_hello(&p);
  struct wire_identity m = {.token = p.welcome.token, .agent_errno = ENOENT, .wait_ms = 1000};
  struct wire_reply r;
  header(&m, WIRE_IDENTITY, sizeof m);
  int sock = dial_daemon();
  send_message(sock, &m, sizeof m, -1);
  assert_int_equal(receive(sock, &r, sizeof r, NULL), sizeof r);
  assert_int_equal(r.status, WIRE_NO_IDENTITY);
  assert_non_null(strstr(r.text, strerror(ENOENT)));
  close(sock);
  end_program(&p);
}

static json_t *status(void) {
  struct wire_hdr h;
  struct wire_reply r;
  int fds[WIRE_FDS_MAX];
  header(&h, WIRE_STATUS, sizeof h);
  int sock = dial_daemon();
  send_message(sock, &h, sizeof h, -1);
  assert_int_equal(receive(sock, &r, sizeof r, fds), sizeof r);
  close(sock);
  assert_int_equal(r.status, WIRE_OK);
  assert_true(fds[0] >= 0);
  assert_int_equal(pwrite(fds[0], "x", 1, 0), -1); /* nobody changes it any more */
  lseek(fds[0], 0, SEEK_SET);
  json_t *root = json_loadfd(fds[0], 0, NULL);
  close(fds[0]);
  return root;
}

static void status_shows_sessions_and_identities(void **state) {
  (void)state;
  struct program p;
  begin_program(&p);
  json_t *root = status();
  json_t *s = json_array_get(json_object_get(root, "sessions"), 0);
  assert_string_equal(json_string_value(json_object_get(s, "program")), "tester");
  json_t *svid = json_array_get(json_object_get(s, "svids"), 0);
  assert_string_equal(json_string_value(json_object_get(svid, "spiffe_id")), "spiffe://example.org/self");
  json_decref(root);
  end_program(&p);
}

static void status_of_many_sessions_is_whole(void **state) {
  (void)state;
  enum { N = 500 };
  struct program p[N];
  for (int i = 0; i < N; i++)
    say_hello(&p[i]);
  json_t *root = status();
  assert_non_null(root);
  assert_int_equal(json_array_size(json_object_get(root, "sessions")), N);
  json_decref(root);
  for (int i = 0; i < N; i++)
    end_program(&p[i]);
}

#define T(f) cmocka_unit_test_setup_teardown(f, daemon_setup, daemon_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      T(hello_brings_an_arena_that_nobody_can_shrink),
      T(the_rules_can_be_read_and_not_written),
      T(a_bad_configuration_is_named_with_its_place),
      T(rubbish_costs_its_sender_the_connection_and_nobody_else),
      T(another_version_is_told_so),
      T(an_unknown_token_is_told_so),
      T(a_session_ends_with_the_last_holder_of_its_socket),
      T(another_user_is_not_served),
      T(variables_of_another_user_name_no_file),
      T(a_flood_of_another_user_keeps_nobody_out),
      T(identity_answers_when_the_agent_has_spoken),
      T(a_denied_identity_names_agent_cause_and_cure),
      T(the_last_answer_outlives_a_new_attempt),
      T(a_silent_agent_is_waited_for_no_longer_than_asked),
      T(an_agent_that_cannot_be_dialed_is_named),
      T(status_shows_sessions_and_identities),
      T(status_of_many_sessions_is_whole),
  };
  return cmocka_run_group_tests(tests, daemon_group_setup, daemon_group_teardown);
}
