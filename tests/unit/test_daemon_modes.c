/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Permissive and staged listeners: who gets plaintext and who TLS, is a byte lost on the way, and can anything make
 * the daemon hand plaintext over where the rule forbids it?
 */
#include "support_daemon.h"
#include "agentclient/daemon/detect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PERMISSIVE                                                                                                   \
  "listen:\n  - { name: it, port: 22100-22199, mode: permissive, detect_timeout: 300ms, allow: [ "                   \
  "spiffe://example.org/web ] }\n"
#define PATIENT                                                                                                      \
  "listen:\n  - { name: it, port: 22100-22199, mode: permissive, detect_timeout: 60s, allow: [ "                     \
  "spiffe://example.org/web ] }\n"
#define UNHURRIED                                                                                                    \
  "listen:\n  - { name: it, port: 22100-22199, mode: permissive, detect_timeout: 3s, allow: [ "                      \
  "spiffe://example.org/web ] }\n"
#define STAGED "listen:\n  - { name: it, port: 22100-22199, mode: \"off\", allow: [ spiffe://example.org/web ] }\n"

struct scene {
  struct program p;
  struct standin s;
};

static void scene_begin(struct scene *x, const char *rules) {
  config_rules(rules);
  begin_program(&x->p);
  listen_managed(&x->p, &x->s, 5);
}

static void scene_end(struct scene *x) {
  close_standin(&x->s);
  end_program(&x->p);
}

/* The next hand-over must be one in plaintext, and what the peer has sent must be in it, from the first byte. */
static int take_plain(struct scene *x, const char *text) {
  struct wire_handover m;
  int tcp, fd = accept_handover(&x->s, &m, &tcp);
  assert_int_equal(m.kind, HANDOVER_PLAIN);
  assert_true(tcp >= 0);
  close(fd);
  char got[64] = "";
  if (text) {
    assert_int_equal(recv(tcp, got, strlen(text), MSG_WAITALL), strlen(text));
    assert_string_equal(got, text);
  }
  return tcp;
}

static void say(int fd, const void *bytes, size_t n) {
  assert_int_equal(send(fd, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
}

static bool ended(int fd) {
  char byte;
  struct pollfd p = {.fd = fd, .events = POLLIN};
  return poll(&p, 1, 30000) == 1 && recv(fd, &byte, 1, 0) <= 0;
}

/* -- detection -- */

static void the_first_bytes_tell_TLS_from_the_rest(void **state) {
  (void)state;
  static const uint8_t hello[6] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01};
  for (size_t n = 0; n < sizeof hello; n++)
    assert_int_equal(detect_bytes(hello, n), DETECT_MORE);
  assert_int_equal(detect_bytes(hello, 6), DETECT_TLS);
  assert_int_equal(detect_bytes((const uint8_t *)"P", 1), DETECT_OTHER);
  assert_int_equal(detect_bytes((const uint8_t *)"\x16\x01", 2), DETECT_OTHER);
  assert_int_equal(detect_bytes((const uint8_t *)"\x16\x03\x01\x02\x00\x02", 6), DETECT_OTHER); /* a ServerHello */
  assert_int_equal(detect_bytes((const uint8_t *)"\x80\x2e\x01\x03\x01\x00", 6), DETECT_OTHER); /* SSLv2's */
}

static void plaintext_arrives_whole_and_is_audited(void **state) {
  (void)state;
  struct scene x;
  scene_begin(&x, PATIENT);
  int peer = tcp_connect(x.s.port);
  say(peer, "*1\r\n$4\r\nPING\r\n", 14);
  int tcp = take_plain(&x, "*1\r\n$4\r\nPING\r\n");
  say(tcp, "+PONG\r\n", 7);
  char got[8];
  assert_int_equal(recv(peer, got, 7, MSG_WAITALL), 7);
  const char *line = audit_find("\"plaintext\"");
  assert_non_null(line);
  assert_non_null(strstr(line, "\"event\":\"connection\""));
  assert_non_null(strstr(line, "\"direction\":\"inbound\""));
  assert_non_null(strstr(line, "\"rule\":\"it\""));
  assert_non_null(strstr(line, "\"remote\":\"127.0.0.1:"));
  assert_non_null(strstr(line, "speaks plaintext"));
  assert_int_equal(audit_lines(), 1);
  close(tcp);
  close(peer);
  scene_end(&x);
}

static void both_kinds_are_served_at_the_same_time(void **state) {
  (void)state;
  struct scene x;
  struct peer tls;
  struct wire_handover m;
  scene_begin(&x, PATIENT);
  int silent = tcp_connect(x.s.port), plain = tcp_connect(x.s.port), tcp;
  assert_true(peer_connect(&tls, x.s.port, web));
  int fd = accept_handover(&x.s, &m, &tcp);
  assert_int_equal(m.kind, HANDOVER_CONN);
  close(fd);
  close(tcp);
  say(plain, "hello", 5);
  close(take_plain(&x, "hello"));
  assert_non_null(audit_find("\"allowed\""));
  assert_non_null(audit_find("\"plaintext\""));
  peer_close(&tls);
  close(plain);
  close(silent);
  scene_end(&x);
}

static void who_speaks_TLS_is_judged(void **state) {
  (void)state;
  struct scene x;
  struct peer peer;
  char byte;
  scene_begin(&x, PATIENT);
  if (peer_connect(&peer, x.s.port, stranger))
    assert_true(SSL_read(peer.ssl, &byte, 1) <= 0);
  peer_close(&peer);
  assert_non_null(audit_find("\"denied\""));
  assert_false(audit_has("\"plaintext\""));
  assert_false(readable(x.s.listener, 0));
  scene_end(&x);
}

static void with_policy_audit_a_stranger_passes_and_is_told_of(void **state) {
  (void)state;
  struct scene x;
  struct peer peer;
  struct wire_handover m;
  int tcp;
  scene_begin(&x, "listen:\n  - { name: it, port: 22100-22199, mode: permissive, policy: audit, allow: [ "
                  "spiffe://example.org/web ] }\n");
  assert_true(peer_connect(&peer, x.s.port, stranger));
  int fd = accept_handover(&x.s, &m, &tcp);
  assert_int_equal(m.kind, HANDOVER_CONN);
  close(fd);
  close(tcp);
  peer_close(&peer);
  assert_non_null(audit_find("\"would_deny\""));
  scene_end(&x);
}

/* A relay that passes a TLS client's bytes on one at a time. */
struct drip {
  int from, to;
};
static void *drip_up(void *arg) {
  struct drip *d = arg;
  char byte;
  for (int i = 0; recv(d->from, &byte, 1, 0) == 1; i++) {
    send(d->to, &byte, 1, MSG_NOSIGNAL);
    if (i < 12)
      usleep(2000);
  }
  shutdown(d->to, SHUT_WR);
  return NULL;
}
static void *drip_down(void *arg) {
  struct drip *d = arg;
  char buf[4096];
  for (ssize_t n; (n = recv(d->to, buf, sizeof buf, 0)) > 0;)
    send(d->from, buf, (size_t)n, MSG_NOSIGNAL);
  shutdown(d->from, SHUT_WR);
  return NULL;
}
static void *drip_run(void *arg) {
  int *listener = arg;
  struct drip d = {.from = accept4(listener[0], NULL, NULL, SOCK_CLOEXEC), .to = tcp_connect((uint16_t)listener[1])};
  pthread_t up;
  pthread_create(&up, NULL, drip_up, &d);
  drip_down(&d);
  pthread_join(up, NULL);
  close(d.from);
  close(d.to);
  return NULL;
}

static void a_ClientHello_that_comes_byte_by_byte_is_TLS(void **state) {
  (void)state;
  struct scene x;
  struct peer peer;
  struct wire_handover m;
  uint16_t port;
  int tcp;
  scene_begin(&x, PATIENT);
  int relay[2] = {tcp_listen(&port, 22300), x.s.port};
  pthread_t t;
  pthread_create(&t, NULL, drip_run, relay);
  assert_true(peer_connect(&peer, port, web));
  int fd = accept_handover(&x.s, &m, &tcp);
  assert_int_equal(m.kind, HANDOVER_CONN);
  close(fd);
  close(tcp);
  peer_close(&peer);
  pthread_join(t, NULL);
  close(relay[0]);
  scene_end(&x);
}

static void plaintext_that_comes_byte_by_byte_is_plaintext(void **state) {
  (void)state;
  struct scene x;
  scene_begin(&x, PATIENT);
  int peer = tcp_connect(x.s.port);
  static const char text[] = "\x16\x03\x01 so far TLS, this is not";
  for (size_t i = 0; i < 8; i++) {
    say(peer, text + i, 1);
    usleep(2000);
  }
  char got[9] = "";
  int tcp = take_plain(&x, NULL);
  assert_int_equal(recv(tcp, got, 8, MSG_WAITALL), 8);
  assert_memory_equal(got, text, 8);
  close(tcp);
  close(peer);
  scene_end(&x);
}

static void silence_is_plaintext_when_its_time_is_up(void **state) {
  (void)state;
  struct scene x;
  scene_begin(&x, PERMISSIVE);
  int peer = tcp_connect(x.s.port);
  int tcp = take_plain(&x, NULL);
  say(tcp, "220 ready\r\n", 11);
  char got[12];
  assert_int_equal(recv(peer, got, 11, MSG_WAITALL), 11);
  assert_non_null(audit_find("detect_timeout"));
  close(tcp);
  close(peer);
  scene_end(&x);
}

static void who_begins_a_ClientHello_and_stalls_gets_no_plaintext(void **state) {
  (void)state;
  struct scene x;
  scene_begin(&x, "handshake_timeout: 500ms\n" UNHURRIED);
  int peer = tcp_connect(x.s.port);
  say(peer, "\x16", 1);
  assert_true(ended(peer));
  assert_non_null(audit_find("\"failed\""));
  assert_false(audit_has("\"plaintext\""));
  assert_false(readable(x.s.listener, 0));
  close(peer);
  scene_end(&x);
}

static void a_peer_that_is_gone_again_costs_nothing(void **state) {
  (void)state;
  struct scene x;
  scene_begin(&x, PATIENT);
  struct linger reset = {1, 0};
  int peer = tcp_connect(x.s.port);
  usleep(20000);
  setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close(peer);
  const char *line = audit_find("\"failed\"");
  assert_non_null(line);
  assert_non_null(strstr(line, "reset"));
  /* One that only ends its side may be waiting for what the server says. */
  peer = tcp_connect(x.s.port);
  shutdown(peer, SHUT_WR);
  int tcp = take_plain(&x, NULL);
  say(tcp, "x", 1);
  char byte;
  assert_int_equal(recv(peer, &byte, 1, 0), 1);
  close(tcp);
  close(peer);
  scene_end(&x);
}

static void silent_peers_do_not_hold_others_up(void **state) {
  (void)state;
  enum { N = 150 };
  struct scene x;
  int silent[N];
  scene_begin(&x, PATIENT);
  for (int i = 0; i < N; i++)
    silent[i] = tcp_connect(x.s.port);
  int peer = tcp_connect(x.s.port);
  say(peer, "me", 2);
  close(take_plain(&x, "me"));
  for (int i = 0; i < N; i++)
    close(silent[i]);
  close(peer);
  scene_end(&x);
}

static void listed_peers_are_plaintext_at_once(void **state) {
  (void)state;
  struct scene x;
  scene_begin(&x,
              "listen:\n  - { name: it, port: 22100-22199, mode: permissive, detect_timeout: 60s, plaintext_from: "
              "[ 127.0.0.0/8 ], allow: [ spiffe://example.org/web ] }\n");
  int peer = tcp_connect(x.s.port);
  close(take_plain(&x, NULL));
  assert_non_null(audit_find("plaintext_from"));
  close(peer);
  scene_end(&x);
}

/* -- without what is not needed -- */

static void plaintext_needs_no_identity(void **state) {
  (void)state;
  struct scene x;
  struct peer peer;
  char byte;
  agent_mode = AGENT_DENIES;
  config_rules(PATIENT);
  say_hello(&x.p);
  give_agent(&x.p, 10000);
  listen_managed(&x.p, &x.s, 5);
  int plain = tcp_connect(x.s.port);
  say(plain, "hello", 5);
  close(take_plain(&x, "hello"));
  if (peer_connect(&peer, x.s.port, web)) /* who wants TLS cannot have it now */
    assert_true(SSL_read(peer.ssl, &byte, 1) <= 0);
  peer_close(&peer);
  assert_non_null(audit_find("\"failed\""));
  close(plain);
  scene_end(&x);
}

static void *dial_web(void *arg) {
  struct peer *peer = arg;
  uint16_t port = (uint16_t)peer->fd;
  return peer_connect(peer, port, web) ? arg : NULL;
}

static void TLS_waits_for_an_identity_and_plaintext_does_not(void **state) {
  (void)state;
  struct scene x;
  struct peer peer;
  struct wire_handover m;
  pthread_t t;
  void *ok;
  int tcp;
  agent_mode = AGENT_SILENT;
  config_rules(PATIENT);
  say_hello(&x.p);
  give_agent(&x.p, 0);
  listen_managed(&x.p, &x.s, 5);
  peer.fd = x.s.port;
  pthread_create(&t, NULL, dial_web, &peer);
  int plain = tcp_connect(x.s.port);
  say(plain, "hello", 5);
  close(take_plain(&x, "hello"));
  assert_false(readable(x.s.listener, 100));
  agent_tells(WORKLOAD_UPDATE);
  int fd = accept_handover(&x.s, &m, &tcp);
  assert_int_equal(m.kind, HANDOVER_CONN);
  pthread_join(t, &ok);
  assert_non_null(ok);
  close(fd);
  close(tcp);
  peer_close(&peer);
  close(plain);
  scene_end(&x);
}

/* -- off and staged -- */

static void off_and_staged_looks_at_nothing(void **state) {
  (void)state;
  struct scene x;
  scene_begin(&x, STAGED);
  int silent = tcp_connect(x.s.port);
  close(take_plain(&x, NULL));
  int tls = tcp_connect(x.s.port); /* TLS of the program's own */
  say(tls, "\x16\x03\x01\x02\x01\x01", 6);
  close(take_plain(&x, "\x16\x03\x01\x02\x01\x01"));
  const char *line = audit_find("mode: off");
  assert_non_null(line);
  assert_non_null(strstr(line, "\"plaintext\""));
  assert_int_equal(audit_lines(), 2);
  close(silent);
  close(tls);
  scene_end(&x);
}

static void the_mode_is_the_one_of_the_moment(void **state) {
  (void)state;
  struct scene x;
  struct peer peer;
  struct wire_handover m;
  int tcp;
  scene_begin(&x, STAGED);
  int plain = tcp_connect(x.s.port);
  close(take_plain(&x, NULL));
  config_mode("it", RULES_ENFORCE, UINT32_MAX);
  assert_true(peer_connect(&peer, x.s.port, web));
  int fd = accept_handover(&x.s, &m, &tcp);
  assert_int_equal(m.kind, HANDOVER_CONN);
  close(fd);
  close(tcp);
  peer_close(&peer);
  close(plain);
  plain = tcp_connect(x.s.port);
  say(plain, "hello", 5);
  assert_true(ended(plain));
  assert_non_null(audit_find("\"denied\""));
  close(plain);
  config_mode("it", RULES_PERMISSIVE, UINT32_MAX);
  plain = tcp_connect(x.s.port);
  say(plain, "hello", 5);
  close(take_plain(&x, "hello"));
  close(plain);
  scene_end(&x);
}

static void after_the_way_back_clients_that_began_TLS_are_met(void **state) {
  (void)state;
  struct scene x;
  struct peer peer;
  struct wire_handover m;
  int tcp;
  scene_begin(&x, PATIENT);
  assert_true(peer_connect(&peer, x.s.port, web));
  close(accept_handover(&x.s, &m, &tcp));
  close(tcp);
  peer_close(&peer);
  config_mode("it", RULES_OFF, UINT32_MAX);
  assert_true(peer_connect(&peer, x.s.port, web)); /* it has not heard of it */
  close(accept_handover(&x.s, &m, &tcp));
  assert_int_equal(m.kind, HANDOVER_CONN);
  close(tcp);
  peer_close(&peer);
  int plain = tcp_connect(x.s.port);
  say(plain, "hello", 5);
  close(take_plain(&x, "hello"));
  close(plain);
  scene_end(&x);
}

/* -- the rule becomes enforce in between -- */

static void plaintext_still_looked_at_does_not_pass(void **state) {
  (void)state;
  struct scene x;
  struct peer peer;
  struct wire_handover m;
  int tcp;
  scene_begin(&x, PATIENT);
  int plain = tcp_connect(x.s.port), silent = tcp_connect(x.s.port);
  usleep(50000); /* accepted, and being looked at */
  config_mode("it", RULES_ENFORCE, UINT32_MAX);
  say(plain, "hello", 5);
  assert_true(ended(plain));
  assert_non_null(audit_find("\"denied\""));
  assert_false(audit_has("\"plaintext\""));
  assert_true(peer_connect(&peer, x.s.port, web));
  close(accept_handover(&x.s, &m, &tcp));
  assert_int_equal(m.kind, HANDOVER_CONN);
  close(tcp);
  peer_close(&peer);
  close(plain);
  close(silent);
  scene_end(&x);
}

static void plaintext_that_waits_to_be_taken_does_not_pass(void **state) {
  (void)state;
  struct scene x;
  struct wire_handover m;
  int tcp;
  scene_begin(&x, PATIENT);
  int plain = tcp_connect(x.s.port);
  say(plain, "hello", 5);
  int fd = accept_handover(&x.s, &m, &tcp);
  assert_int_equal(m.kind, HANDOVER_PLAIN);
  close(tcp);
  config_mode("it", RULES_ENFORCE, UINT32_MAX);
  const char park = HANDOVER_PARK; /* the program looks at the rules, too, and sends it back */
  assert_int_equal(send(fd, &park, 1, 0), 1);
  close(fd);
  assert_true(ended(plain));
  assert_non_null(audit_find("\"denied\""));
  assert_false(readable(x.s.listener, 0));
  close(plain);
  scene_end(&x);
}

static void a_closed_listener_resets_who_is_looked_at(void **state) {
  (void)state;
  struct scene x;
  scene_begin(&x, PATIENT);
  int peer = tcp_connect(x.s.port);
  usleep(50000);
  close_standin(&x.s);
  assert_true(ended(peer));
  close(peer);
  end_program(&x.p);
}

#define T(name) cmocka_unit_test_setup_teardown(name, daemon_setup, daemon_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_first_bytes_tell_TLS_from_the_rest),
      T(plaintext_arrives_whole_and_is_audited),
      T(both_kinds_are_served_at_the_same_time),
      T(who_speaks_TLS_is_judged),
      T(with_policy_audit_a_stranger_passes_and_is_told_of),
      T(a_ClientHello_that_comes_byte_by_byte_is_TLS),
      T(plaintext_that_comes_byte_by_byte_is_plaintext),
      T(silence_is_plaintext_when_its_time_is_up),
      T(who_begins_a_ClientHello_and_stalls_gets_no_plaintext),
      T(a_peer_that_is_gone_again_costs_nothing),
      T(silent_peers_do_not_hold_others_up),
      T(listed_peers_are_plaintext_at_once),
      T(plaintext_needs_no_identity),
      T(TLS_waits_for_an_identity_and_plaintext_does_not),
      T(off_and_staged_looks_at_nothing),
      T(the_mode_is_the_one_of_the_moment),
      T(after_the_way_back_clients_that_began_TLS_are_met),
      T(plaintext_still_looked_at_does_not_pass),
      T(plaintext_that_waits_to_be_taken_does_not_pass),
      T(a_closed_listener_resets_who_is_looked_at),
  };
  return cmocka_run_group_tests(tests, daemon_group_setup, daemon_group_teardown);
}
