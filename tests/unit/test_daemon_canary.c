/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Canary rules in the daemon: is plaintext that a program tells of audited, does a rule go back to plaintext when it
 * says so and never otherwise, and is a connect that the rules overtook answered with "look again"?
 */
#include "support_daemon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RULE(more)                                                                                                   \
  "connect:\n  - { name: other, to: \"127.0.0.1:22400\", mode: enforce, allow: [ spiffe://example.org/web ] }\n"     \
  "  - { name: it, to: \"127.0.0.1:22200-22299\", mode: canary, percent: 100, allow: [ spiffe://example.org/web "    \
  "]" more " }\n"
#define SUSPENDS RULE(", on_failure: suspend, suspend_for: 60s")

static struct sockaddr_in loopback(uint16_t port) {
  return (struct sockaddr_in){
      .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
}

/* WIRE_CONNECT for a TCP socket; the reply socket, unanswered. */
static int request_connect(struct program *p, int tcp, uint16_t port) {
  struct wire_connect m = {.token = p->welcome.token, .rule = 1, .dest_len = sizeof(struct sockaddr_in)};
  struct sockaddr_in in = loopback(port);
  memcpy(&m.dest, &in, sizeof in);
  header(&m, WIRE_CONNECT, sizeof m);
  int sock = dial_daemon();
  send_message(sock, &m, sizeof m, tcp);
  return sock;
}

static struct wire_connected connected(int sock) {
  struct wire_connected r;
  assert_int_equal(receive(sock, &r, sizeof r, NULL), sizeof r);
  assert_int_equal(r.hdr.type, WIRE_CONNECTED);
  close(sock);
  return r;
}

/* A connect to a server that answers in plaintext: mTLS fails. */
static struct wire_connected failing_connect(struct program *p) {
  uint16_t port;
  int listener = tcp_listen(&port, connect_port), tcp = tcp_connect(port), sock = request_connect(p, tcp, port);
  int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  send(peer, "+PONG\r\n", 7, MSG_NOSIGNAL);
  struct wire_connected r = connected(sock);
  close(tcp);
  close(peer);
  close(listener);
  return r;
}

/* What the program's own look at the rules says. */
static struct rules_entry rule_seen(struct program *p) {
  struct rules_table *t = mmap(NULL, sizeof *t, PROT_READ, MAP_SHARED, p->rules, 0);
  struct sockaddr_in in = loopback(22250);
  struct rules_entry e;
  uint8_t addr[16];
  uint16_t port;
  assert_true(t != MAP_FAILED);
  assert_int_equal(rules_address((struct sockaddr *)&in, sizeof in, addr, &port), 0);
  assert_int_equal(rules_match(t, RULES_CONNECT, addr, port, &e), 1);
  munmap(t, sizeof *t);
  return e;
}

static bool suspended(struct program *p) { return (rule_seen(p).flags & RULES_SUSPENDED) != 0; }

static void begin(struct program *p, const char *rules) {
  config_rules(rules);
  begin_program(p);
}

/* -- told plaintext -- */

static struct wire_reply tell(struct program *p, uint32_t why) {
  struct wire_plain m = {.token = p->welcome.token,
                         .rule = 7, /* as the program saw the rules once */
                         .why = why,
                         .local_len = sizeof(struct sockaddr_in),
                         .dest_len = sizeof(struct sockaddr_in)};
  struct sockaddr_in dest = loopback(22250), local = loopback(40000);
  struct wire_reply r;
  memcpy(&m.dest, &dest, sizeof dest);
  memcpy(&m.local, &local, sizeof local);
  header(&m, WIRE_PLAIN, sizeof m);
  int sock = dial_daemon();
  send_message(sock, &m, sizeof m, -1);
  assert_int_equal(receive(sock, &r, sizeof r, NULL), sizeof r);
  close(sock);
  return r;
}

static void plaintext_that_is_told_is_audited(void **state) {
  (void)state;
  struct program p;
  begin(&p, RULE(""));
  assert_int_equal(tell(&p, WIRE_PLAIN_PERCENT).status, WIRE_OK);
  const char *line = audit_find("\"plaintext\"");
  assert_non_null(line);
  assert_non_null(strstr(line, "\"event\":\"connection\""));
  assert_non_null(strstr(line, "\"direction\":\"outbound\""));
  assert_non_null(strstr(line, "\"rule\":\"it\""));
  assert_non_null(strstr(line, "\"local\":\"127.0.0.1:40000\""));
  assert_non_null(strstr(line, "\"remote\":\"127.0.0.1:22250\""));
  assert_non_null(strstr(line, "not among the 100 percent"));
  tell(&p, WIRE_PLAIN_SUSPENDED);
  assert_non_null(audit_find("suspended after a failure"));
  assert_int_equal(audit_lines(), 2);
  memset(&p.welcome.token, 1, sizeof p.welcome.token);
  assert_int_equal(tell(&p, WIRE_PLAIN_OFF).status, WIRE_UNKNOWN_SESSION);
  assert_int_equal(audit_lines(), 2);
  end_program(&p);
}

/* Without waiting for the answer. */
static void post(const struct program *p) {
  struct wire_plain m = {.token = p->welcome.token, .why = WIRE_PLAIN_OFF, .dest_len = sizeof(struct sockaddr_in)};
  struct sockaddr_in dest = loopback(22250);
  memcpy(&m.dest, &dest, sizeof dest);
  header(&m, WIRE_PLAIN, sizeof m);
  int sock = dial_daemon();
  send_message(sock, &m, sizeof m, -1);
  close(sock);
}

static void who_does_not_wait_for_the_answer_is_heard_all_the_same(void **state) {
  (void)state;
  struct program p;
  begin(&p, RULE(""));
  for (int i = 0; i < 50; i++)
    post(&p);
  eventually(audit_lines() == 50);
  end_program(&p);
}

static void who_ends_right_after_its_message_is_heard(void **state) {
  (void)state;
  struct program p;
  begin(&p, RULE(""));
  end_program(&p);
  for (unsigned i = 1; i <= 100; i++) {
    say_hello(&p);
    post(&p);
    end_program(&p);
    eventually(audit_lines() == i);
  }
}

/* -- mTLS -- */

static void a_canary_is_as_enforce_for_who_is_among_it(void **state) {
  (void)state;
  struct program p;
  begin(&p, RULE(""));
  struct wire_connected r = failing_connect(&p);
  assert_int_equal(r.status, WIRE_REFUSED);
  assert_int_equal(r.err, EPROTO);
  assert_non_null(audit_find("\"denied\""));
  assert_false(suspended(&p)); /* on_failure: error */
  assert_false(audit_has("\"canary\""));
  end_program(&p);
}

/* -- on_failure: suspend -- */

static void a_failure_suspends_loudly(void **state) {
  (void)state;
  struct program p;
  begin(&p, SUSPENDS);
  assert_false(suspended(&p));
  assert_int_equal(failing_connect(&p).status, WIRE_REFUSED); /* that one stays failed */
  assert_true(suspended(&p));
  const char *line = audit_find("\"suspended\"");
  assert_non_null(line);
  assert_non_null(strstr(line, "\"event\":\"canary\""));
  assert_non_null(strstr(line, "\"rule\":\"it\""));
  assert_non_null(strstr(line, "60 s"));
  /* Who asks for mTLS all the same looked at the rules before. */
  uint16_t port;
  int listener = tcp_listen(&port, connect_port), tcp = tcp_connect(port), sock = request_connect(&p, tcp, port);
  assert_int_equal(connected(sock).status, WIRE_BAD_REQUEST);
  close(tcp);
  close(listener);
  end_program(&p);
}

static void a_suspension_ends_and_is_told_of(void **state) {
  (void)state;
  struct program p;
  begin(&p, RULE(", on_failure: suspend, suspend_for: 1s"));
  failing_connect(&p);
  assert_true(suspended(&p));
  eventually(!suspended(&p));
  assert_non_null(audit_find("\"resumed\""));
  failing_connect(&p); /* and may begin again */
  assert_true(suspended(&p));
  end_program(&p);
}

static void a_failure_of_TCP_suspends_nothing(void **state) {
  (void)state;
  struct program p;
  uint16_t port;
  int listener = tcp_listen(&port, connect_port);
  close(listener); /* nobody listens now */
  begin(&p, SUSPENDS);
  struct wire_connect m = {
      .token = p.welcome.token, .flags = WIRE_CONNECT_IN_PROGRESS, .rule = 1, .dest_len = sizeof(struct sockaddr_in)};
  struct sockaddr_in in = loopback(port);
  memcpy(&m.dest, &in, sizeof in);
  header(&m, WIRE_CONNECT, sizeof m);
  int tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), sock = dial_daemon();
  assert_int_equal(connect(tcp, (struct sockaddr *)&in, sizeof in), -1);
  send_message(sock, &m, sizeof m, tcp);
  assert_int_equal(connected(sock).status, WIRE_TCP_FAILED);
  assert_false(suspended(&p));
  close(tcp);
  end_program(&p);
}

static void who_gives_up_suspends_nothing(void **state) {
  (void)state;
  struct program p;
  uint16_t port;
  begin(&p, SUSPENDS);
  int listener = tcp_listen(&port, connect_port), tcp = tcp_connect(port), sock = request_connect(&p, tcp, port);
  usleep(50000);
  close(sock);
  close(tcp);
  assert_non_null(audit_find("gave the connection up"));
  assert_false(suspended(&p));
  close(listener);
  end_program(&p);
}

static void a_missing_identity_suspends(void **state) {
  (void)state;
  struct program p;
  uint16_t port;
  agent_mode = AGENT_DENIES;
  config_rules(SUSPENDS);
  say_hello(&p);
  give_agent(&p, 10000);
  int listener = tcp_listen(&port, connect_port), tcp = tcp_connect(port), sock = request_connect(&p, tcp, port);
  assert_int_equal(connected(sock).status, WIRE_NO_IDENTITY);
  assert_true(suspended(&p));
  close(tcp);
  close(listener);
  end_program(&p);
}

static void a_peer_that_refuses_us_after_the_handshake_suspends(void **state) {
  (void)state;
  struct program p;
  begin(&p, SUSPENDS);
  struct wire_alert m = {.token = p.welcome.token,
                         .rule = 1,
                         .received = 1,
                         .alert = 49, /* access_denied */
                         .remote_len = sizeof(struct sockaddr_in)};
  struct sockaddr_in in = loopback(22250);
  struct wire_reply r;
  memcpy(&m.remote, &in, sizeof in);
  header(&m, WIRE_ALERT, sizeof m);
  int sock = dial_daemon();
  send_message(sock, &m, sizeof m, -1);
  assert_int_equal(receive(sock, &r, sizeof r, NULL), sizeof r);
  close(sock);
  assert_true(suspended(&p));
  assert_non_null(audit_find("\"suspended\""));
  end_program(&p);
}

static void a_suspension_survives_what_leaves_its_rule_alone(void **state) {
  (void)state;
  struct program p;
  begin(&p, SUSPENDS);
  failing_connect(&p);
  assert_true(suspended(&p));
  config_mode("other", RULES_OFF, UINT32_MAX);
  assert_true(suspended(&p));
  config_mode("it", RULES_CANARY, 10);
  assert_true(suspended(&p));
  assert_int_equal(rule_seen(&p).percent, 10);
  assert_false(audit_has("\"resumed\""));
  config_mode("it", RULES_ENFORCE, UINT32_MAX);
  assert_false(suspended(&p));
  assert_non_null(audit_find("\"resumed\""));
  config_mode("it", RULES_CANARY, 10);
  assert_false(suspended(&p));
  end_program(&p);
}

/* -- overtaken by the rules -- */

static void a_connect_whose_rule_is_off_by_now_looks_again_where_there_is_no_identity(void **state) {
  (void)state;
  struct program p;
  uint16_t port;
  agent_mode = AGENT_DENIES;
  config_rules(RULE(""));
  say_hello(&p);
  give_agent(&p, 10000);
  config_mode("it", RULES_OFF, UINT32_MAX);
  int listener = tcp_listen(&port, connect_port), tcp = tcp_connect(port), sock = request_connect(&p, tcp, port);
  assert_int_equal(connected(sock).status, WIRE_BAD_REQUEST);
  assert_int_equal(rule_seen(&p).mode, RULES_OFF);
  assert_false(audit_has("\"connection\""));
  /* Nothing was sent: the connection can go on in plaintext. */
  int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  char byte;
  assert_int_equal(recv(peer, &byte, 1, MSG_DONTWAIT), -1);
  assert_int_equal(errno, EAGAIN);
  assert_int_equal(send(tcp, "x", 1, MSG_NOSIGNAL), 1);
  assert_int_equal(recv(peer, &byte, 1, 0), 1);
  close(peer);
  close(tcp);
  close(listener);
  end_program(&p);
}

static void one_that_waits_for_an_identity_need_not_wait_any_longer(void **state) {
  (void)state;
  struct program p;
  uint16_t port;
  agent_mode = AGENT_SILENT;
  config_rules(RULE(""));
  say_hello(&p);
  give_agent(&p, 0);
  int listener = tcp_listen(&port, connect_port), tcp = tcp_connect(port), sock = request_connect(&p, tcp, port);
  assert_false(readable(sock, 100));
  config_mode("it", RULES_OFF, UINT32_MAX);
  assert_int_equal(connected(sock).status, WIRE_BAD_REQUEST);
  close(tcp);
  close(listener);
  end_program(&p);
}

static void *serve_one(void *arg) {
  struct peer *peer = arg;
  int fd = accept4(peer->fd, NULL, NULL, SOCK_CLOEXEC);
  usleep(50000); /* the mode changes now */
  return peer_accept(peer, fd, web) ? arg : NULL;
}

/* The server accepted it while its rule still enforced: it waits for a ClientHello. */
static void a_connect_whose_rule_is_off_by_now_gets_the_TLS_that_it_asked_for(void **state) {
  (void)state;
  struct program p;
  struct peer peer;
  uint16_t port;
  pthread_t t;
  void *ok;
  begin(&p, RULE(""));
  config_mode("it", RULES_OFF, UINT32_MAX);
  int listener = tcp_listen(&port, connect_port);
  peer.fd = listener;
  pthread_create(&t, NULL, serve_one, &peer);
  int tcp = tcp_connect(port), sock = request_connect(&p, tcp, port);
  assert_int_equal(connected(sock).status, WIRE_OK);
  pthread_join(t, &ok);
  assert_non_null(ok);
  peer_close(&peer);
  close(tcp);
  close(listener);
  end_program(&p);
}

static void a_handshake_under_way_ends_as_it_began(void **state) {
  (void)state;
  struct program p;
  struct peer peer;
  uint16_t port;
  pthread_t t;
  void *ok;
  begin(&p, RULE(""));
  int listener = tcp_listen(&port, connect_port);
  peer.fd = listener;
  pthread_create(&t, NULL, serve_one, &peer);
  int tcp = tcp_connect(port), sock = request_connect(&p, tcp, port);
  usleep(20000);
  config_mode("it", RULES_OFF, UINT32_MAX);
  assert_int_equal(connected(sock).status, WIRE_OK);
  pthread_join(t, &ok);
  assert_non_null(ok);
  peer_close(&peer);
  close(tcp);
  close(listener);
  end_program(&p);
}

#define T(name) cmocka_unit_test_setup_teardown(name, daemon_setup, daemon_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      T(plaintext_that_is_told_is_audited),
      T(who_does_not_wait_for_the_answer_is_heard_all_the_same),
      T(who_ends_right_after_its_message_is_heard),
      T(a_canary_is_as_enforce_for_who_is_among_it),
      T(a_failure_suspends_loudly),
      T(a_suspension_ends_and_is_told_of),
      T(a_failure_of_TCP_suspends_nothing),
      T(who_gives_up_suspends_nothing),
      T(a_missing_identity_suspends),
      T(a_peer_that_refuses_us_after_the_handshake_suspends),
      T(a_suspension_survives_what_leaves_its_rule_alone),
      T(a_connect_whose_rule_is_off_by_now_looks_again_where_there_is_no_identity),
      T(a_connect_whose_rule_is_off_by_now_gets_the_TLS_that_it_asked_for),
      T(one_that_waits_for_an_identity_need_not_wait_any_longer),
      T(a_handshake_under_way_ends_as_it_began),
  };
  return cmocka_run_group_tests(tests, daemon_group_setup, daemon_group_teardown);
}
