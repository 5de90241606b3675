/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_handshake.c - do we and an OpenSSL peer agree on secrets when both are who they should be, and is everybody
 * else refused with the alert that says why?
 */
#include "support_handshake.h"
#include "shim/record/record.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cmocka.h>

static struct hs_world w;

static int setup(void **state) {
  (void)state;
  hs_world_open(&w);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  hs_world_close(&w);
  return 0;
}

static void outcome_is(const struct hs_ours *o, enum handshake_outcome outcome, const char *reason) {
  if (o->result.outcome != outcome || !strstr(o->result.reason, reason))
    fail_msg("%s (%s), expected %s (%s)", handshake_outcome_name(o->result.outcome), o->result.reason,
             handshake_outcome_name(outcome), reason);
}

/* Seals one record under our writing secret, as the shim will, for the peer to read. */
static void say(const struct hs_ours *o, const char *text) {
  struct arena_side side = {.seq = 0};
  uint8_t wire[128];
  struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
  memcpy(side.secret, o->result.tx_secret, sizeof side.secret);
  assert_int_equal(record_side_init(&side, o->result.cipher), RECORD_OK);
  struct record_ctx *ctx = record_ctx_new(&side, o->result.cipher, 1);
  int n = record_seal(ctx, &side, RECORD_DATA, &iov, 1, 0, iov.iov_len, wire);
  assert_true(n > 0);
  assert_int_equal(write(o->fd, wire, (size_t)n), n);
  record_ctx_free(ctx);
}

/* Opens the first record that waits in the kernel. */
static void hear(const struct hs_ours *o, const char *text) {
  struct arena_side side = {.seq = 0};
  uint8_t wire[512], plain[512], type = 0;
  memcpy(side.secret, o->result.rx_secret, sizeof side.secret);
  assert_int_equal(record_side_init(&side, o->result.cipher), RECORD_OK);
  struct record_ctx *ctx = record_ctx_new(&side, o->result.cipher, 0);
  assert_int_equal(recv(o->fd, wire, RECORD_HEADER, MSG_WAITALL), RECORD_HEADER);
  int whole = record_length(wire, RECORD_HEADER);
  assert_true(whole > 0 && whole < (int)sizeof wire);
  assert_int_equal(recv(o->fd, wire + RECORD_HEADER, (size_t)whole - RECORD_HEADER, MSG_WAITALL),
                   whole - (int)RECORD_HEADER);
  int n = record_open(ctx, &side, wire, (size_t)whole, plain, sizeof plain, NULL, 0, &type);
  assert_int_equal(n, strlen(text));
  assert_int_equal(type, RECORD_DATA);
  assert_memory_equal(plain, text, strlen(text));
  record_ctx_free(ctx);
}

static SSL_CTX *client_context(const struct pki_svid *svid) { return pki_peer_context(svid, w.ca, false); }
static SSL_CTX *server_context(const struct pki_svid *svid) {
  SSL_CTX *ctx = pki_peer_context(svid, w.ca, true);
  SSL_CTX_set_num_tickets(ctx, 0);
  return ctx;
}

/* ---- who is let in -------------------------------------------------------------------------------------- */

static void secrets_agree_in_both_roles_and_all_suites(void **state) {
  static const struct {
    const char *suite;
    uint16_t number;
  } suites[] = {{"TLS_AES_128_GCM_SHA256", ARENA_AES_128_GCM_SHA256},
                {"TLS_AES_256_GCM_SHA384", ARENA_AES_256_GCM_SHA384},
                {"TLS_CHACHA20_POLY1305_SHA256", ARENA_CHACHA20_POLY1305_SHA256}};
  (void)state;
  for (int i = 0; i < 6; i++) {
    bool we_serve = i % 2 == 0;
    struct hs_peer p = {.server = !we_serve, .say = "from the peer"};
    p.ctx = we_serve ? client_context(w.client) : server_context(w.server);
    assert_int_equal(SSL_CTX_set_ciphersuites(p.ctx, suites[i / 2].suite), 1);
    struct hs_ours o;
    hs_meet(&w, &o, &p, we_serve ? RULE_IN : RULE_OUT);
    outcome_is(&o, HANDSHAKE_OK, "");
    assert_int_equal(o.result.cipher, suites[i / 2].number);
    assert_string_equal(o.result.peer.text, we_serve ? w.client->id : w.server->id);
    assert_string_equal(o.result.self.text, we_serve ? w.server->id : w.client->id);
    assert_false(o.result.would_deny);
    say(&o, "from us");
    hear(&o, "from the peer");
    hs_peer_join(&p);
    assert_int_equal(p.got, 7);
    assert_memory_equal(p.data, "from us", 7);
    assert_memory_equal(we_serve ? o.result.rx_secret : o.result.tx_secret, p.client_secret, 48);
    assert_memory_equal(we_serve ? o.result.tx_secret : o.result.rx_secret, p.server_secret, 48);
    hs_done(&o);
  }
}

static void every_kind_of_key_shakes_hands(void **state) {
  static const enum pki_key kinds[] = {PKI_P256, PKI_P384, PKI_RSA2048, PKI_ED25519};
  (void)state;
  for (size_t i = 0; i < 4; i++) {
    struct pki_svid *svid = pki_issue(w.ca, &(struct pki_leaf){.id = w.client->id, .key = kinds[i]});
    struct hs_peer p = {.ctx = client_context(svid), .say = "x"};
    struct hs_ours o;
    hs_meet(&w, &o, &p, RULE_IN);
    outcome_is(&o, HANDSHAKE_OK, "");
    say(&o, "y");
    hs_peer_join(&p);
    assert_int_equal(p.got, 1);
    hs_done(&o);
    pki_svid_free(svid);
  }
}

static void a_peer_of_a_federated_domain_is_let_in(void **state) {
  struct hs_peer p = {.ctx = client_context(w.guest)};
  struct hs_ours o;
  (void)state;
  hs_meet(&w, &o, &p, RULE_IN);
  outcome_is(&o, HANDSHAKE_OK, "");
  assert_string_equal(o.result.peer.text, "spiffe://partner.test/guest");
  say(&o, "welcome");
  hs_peer_join(&p);
  assert_int_equal(p.got, 7);
  hs_done(&o);
}

static void intermediates_travel_both_ways(void **state) {
  struct pki_ca *m = pki_ca_under(w.ca, "example.org", &(struct pki_ca_spec){.name = "m"});
  struct pki_svid *client = pki_issue(m, &(struct pki_leaf){.id = w.client->id});
  struct pki_svid *server = pki_issue(m, &(struct pki_leaf){.id = w.server->id});
  struct identity *id = pki_identity(server, (struct pki_ca *[]){w.ca, NULL});
  struct hs_peer p = {.ctx = client_context(client)};
  struct hs_ours o;
  int fd[2];
  (void)state;
  hs_tcp(fd);
  p.fd = fd[1];
  hs_peer_start(&p);
  struct handshake_request request = hs_request(&w, fd[0], ARENA_SERVER, RULE_IN);
  request.identity = id;
  request.svid = identity_svid_at(id, 0);
  hs_begin(&w, &o, &request);
  identity_unref(id); /* the handshake holds its own reference */
  hs_wait(&o);
  outcome_is(&o, HANDSHAKE_OK, "");
  say(&o, "hi");
  hs_peer_join(&p);
  assert_int_equal(p.rc, 1); /* it verified our chain to the root */
  assert_int_equal(p.got, 2);
  hs_done(&o);
  pki_svid_free(client);
  pki_svid_free(server);
  pki_ca_free(m);
}

static void a_peer_with_p256_only_costs_a_round_more(void **state) {
  (void)state;
  for (int we_serve = 0; we_serve < 2; we_serve++) {
    struct hs_peer p = {.server = !we_serve, .say = "x"};
    p.ctx = we_serve ? client_context(w.client) : server_context(w.server);
    assert_int_equal(SSL_CTX_set1_groups_list(p.ctx, we_serve ? "P-384:P-256" : "P-256"), 1);
    struct hs_ours o;
    hs_meet(&w, &o, &p, we_serve ? RULE_IN : RULE_OUT);
    outcome_is(&o, HANDSHAKE_OK, "");
    hear(&o, "x");
    say(&o, "y");
    hs_peer_join(&p);
    assert_int_equal(p.got, 1);
    hs_done(&o);
  }
}

static void sni_is_sent_where_the_rule_says_so_only(void **state) {
  (void)state;
  for (uint32_t rule = RULE_OUT; rule <= RULE_OUT_SNI; rule += RULE_OUT_SNI - RULE_OUT) {
    struct hs_peer p = {.server = true, .ctx = server_context(w.server), .hang_up = true};
    struct hs_ours o;
    hs_meet(&w, &o, &p, rule);
    outcome_is(&o, HANDSHAKE_OK, "");
    hs_peer_join(&p);
    assert_string_equal(p.sni, rule == RULE_OUT_SNI ? "db.example.org" : "");
    hs_done(&o);
  }
}

static void the_only_protocol_a_client_speaks_is_confirmed(void **state) {
  static const struct {
    const char *offer;
    const char *selected;
  } cases[] = {{"\x02h2", "h2"}, {"\x02h2\x08http/1.1", ""}};
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    struct hs_peer p = {.ctx = client_context(w.client), .hang_up = true};
    struct hs_ours o;
    SSL_CTX_set_alpn_protos(p.ctx, (const unsigned char *)cases[i].offer, (unsigned)strlen(cases[i].offer));
    hs_meet(&w, &o, &p, RULE_IN);
    outcome_is(&o, HANDSHAKE_OK, "");
    hs_peer_join(&p);
    assert_string_equal(p.alpn, cases[i].selected);
    hs_done(&o);
  }
}

/* ---- who is not ------------------------------------------------------------------------------------------ */

static void a_client_that_the_policy_does_not_name_is_told_access_denied(void **state) {
  struct hs_peer p = {.ctx = client_context(w.stranger)};
  struct hs_ours o;
  (void)state;
  hs_meet(&w, &o, &p, RULE_IN);
  outcome_is(&o, HANDSHAKE_DENIED, "not in allow");
  assert_string_equal(o.result.peer.text, "spiffe://example.org/stranger");
  hs_peer_join(&p);
  assert_int_equal(p.alert, SSL_AD_ACCESS_DENIED);
  assert_true(p.got <= 0);
  hs_done(&o);
}

/* The alert travels encrypted, the server never completes its handshake, and learns nothing of who we are. */
static void a_server_that_the_policy_does_not_name_is_told_access_denied(void **state) {
  struct hs_peer p = {.server = true, .ctx = server_context(w.stranger)};
  struct hs_ours o;
  (void)state;
  hs_meet(&w, &o, &p, RULE_OUT);
  outcome_is(&o, HANDSHAKE_DENIED, "not in allow");
  assert_string_equal(o.result.peer.text, "spiffe://example.org/stranger");
  hs_peer_join(&p);
  assert_int_equal(p.alert, SSL_AD_ACCESS_DENIED);
  assert_false(p.alert_in_clear);
  assert_false(p.saw_certificate);
  assert_true(p.rc != 1);
  hs_done(&o);
}

static void policy_audit_lets_pass_and_says_so(void **state) {
  (void)state;
  for (int we_serve = 0; we_serve < 2; we_serve++) {
    struct hs_peer p = {.server = !we_serve};
    p.ctx = we_serve ? client_context(w.stranger) : server_context(w.stranger);
    struct hs_ours o;
    hs_meet(&w, &o, &p, we_serve ? RULE_IN_AUDIT : RULE_OUT_AUDIT);
    outcome_is(&o, HANDSHAKE_OK, "not in allow");
    assert_true(o.result.would_deny);
    say(&o, "ok");
    hs_peer_join(&p);
    assert_int_equal(p.got, 2);
    hs_done(&o);
  }
}

/* policy: audit is about who may talk, never about who one is. */
static void policy_audit_does_not_excuse_a_bad_certificate(void **state) {
  struct pki_svid *bad = pki_issue(w.ca, &(struct pki_leaf){.second = "spiffe://example.org/b"});
  struct hs_peer p = {.ctx = client_context(bad)};
  struct hs_ours o;
  (void)state;
  hs_meet(&w, &o, &p, RULE_IN_AUDIT);
  outcome_is(&o, HANDSHAKE_UNVERIFIED, "two URI SANs");
  hs_peer_join(&p);
  assert_int_equal(p.alert, SSL_AD_BAD_CERTIFICATE);
  hs_done(&o);
  pki_svid_free(bad);
}

static const struct {
  struct pki_leaf leaf;
  int alert;
  const char *why;
} impostors[] = {
    {{.second = "spiffe://example.org/b"}, SSL_AD_BAD_CERTIFICATE, "two URI SANs"},
    {{.valid = {-7200, -3600}}, SSL_AD_CERTIFICATE_EXPIRED, "certificate expired at"},
    {{.basic = "critical,CA:TRUE"}, SSL_AD_BAD_CERTIFICATE, "leaf is a CA"},
    {{.purposes = "clientAuth"}, SSL_AD_UNSUPPORTED_CERTIFICATE, "lacks serverAuth"},
    {{.self_signed = true}, SSL_AD_UNKNOWN_CA, "not signed by the roots"},
    {{.id = "spiffe://partner.test/guest"},
     SSL_AD_UNKNOWN_CA,
     "not signed by the roots of trust domain partner.test"},
    {{.id = "spiffe://nowhere.test/x"}, SSL_AD_UNKNOWN_CA, "no trust bundle for trust domain nowhere.test"},
};

static void impostors_are_refused_in_both_roles(void **state) {
  (void)state;
  for (size_t i = 0; i < 2 * sizeof impostors / sizeof impostors[0]; i++) {
    bool we_serve = i % 2 == 0;
    struct pki_svid *svid = pki_issue(w.ca, &impostors[i / 2].leaf);
    struct hs_peer p = {.server = !we_serve};
    p.ctx = we_serve ? client_context(svid) : server_context(svid);
    struct hs_ours o;
    hs_meet(&w, &o, &p, we_serve ? RULE_IN : RULE_OUT);
    outcome_is(&o, HANDSHAKE_UNVERIFIED, impostors[i / 2].why);
    hs_peer_join(&p);
    assert_int_equal(p.alert, impostors[i / 2].alert);
    assert_true(p.got <= 0);
    hs_done(&o);
    pki_svid_free(svid);
  }
}

static void a_client_without_a_certificate_is_refused(void **state) {
  struct hs_peer p = {.ctx = client_context(NULL)};
  struct hs_ours o;
  (void)state;
  hs_meet(&w, &o, &p, RULE_IN);
  outcome_is(&o, HANDSHAKE_UNVERIFIED, "peer sent no certificate");
  assert_int_equal(o.result.peer.len, 0);
  hs_peer_join(&p);
  assert_int_equal(p.alert, 116); /* certificate_required */
  hs_done(&o);
}

/* Certificates are public. Whoever shows one without its key must not get its owner into our audit log. */
static void a_borrowed_certificate_is_not_believed(void **state) {
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    struct pki_svid *victim = i ? w.stranger : w.client, thief = *victim;
    thief.key = pki_key_pretend(victim->key);
    struct hs_peer p = {.ctx = client_context(&thief)};
    struct hs_ours o;
    hs_meet(&w, &o, &p, RULE_IN);
    outcome_is(&o, HANDSHAKE_UNVERIFIED, "does not hold the key");
    assert_int_equal(o.result.peer.len, 0);
    hs_peer_join(&p);
    assert_int_equal(p.alert, SSL_AD_DECRYPT_ERROR);
    hs_done(&o);
    EVP_PKEY_free(thief.key);
  }
}

/* ---- when the peer refuses us ------------------------------------------------------------------------------- */

static void a_client_that_refuses_us_is_reported_by_its_alert(void **state) {
  struct hs_peer p = {.ctx = pki_peer_context(w.client, w.partner, false)}; /* trusts another CA */
  struct hs_ours o;
  (void)state;
  hs_meet(&w, &o, &p, RULE_IN);
  outcome_is(&o, HANDSHAKE_PEER_REFUSED, "alert unknown_ca");
  hs_peer_join(&p);
  hs_done(&o);
}

/* In TLS 1.3 a server judges the client after the client's handshake is done: that alert is not ours to read. */
static void a_server_that_refuses_us_does_so_later(void **state) {
  struct hs_peer p = {.server = true, .ctx = pki_peer_context(w.server, w.partner, true)};
  struct hs_ours o;
  uint8_t wire[64];
  (void)state;
  hs_meet(&w, &o, &p, RULE_OUT);
  outcome_is(&o, HANDSHAKE_OK, "");
  hs_peer_join(&p);
  assert_true(p.rc != 1);
  assert_int_equal(recv(o.fd, wire, sizeof wire, 0), RECORD_OVERHEAD + 2); /* the alert waits in the kernel */
  hs_done(&o);
}

/* ---- what is left in the socket ------------------------------------------------------------------------------ */

/* A client writes as soon as its handshake is done, which is before ours is: not a byte of it may be taken. */
static void early_application_data_stays_in_the_kernel(void **state) {
  static const char text[] = "GET /early";
  struct hs_peer p = {.ctx = client_context(w.client), .say = text};
  struct hs_ours o;
  int waiting = 0;
  (void)state;
  hs_meet(&w, &o, &p, RULE_IN);
  outcome_is(&o, HANDSHAKE_OK, "");
  hear(&o, text); /* whole, from its first byte */
  say(&o, "done");
  hs_peer_join(&p);
  assert_int_equal(p.got, 4);
  ioctl(o.fd, FIONREAD, &waiting);
  assert_int_equal(waiting, 0);
  hs_done(&o);
}

static void a_server_that_speaks_first_is_not_swallowed(void **state) {
  static const char text[] = "220 ready";
  struct hs_peer p = {.server = true, .ctx = server_context(w.server), .greet = text};
  struct hs_ours o;
  (void)state;
  hs_meet(&w, &o, &p, RULE_OUT);
  outcome_is(&o, HANDSHAKE_OK, "");
  hear(&o, text);
  say(&o, "EHLO");
  hs_peer_join(&p);
  assert_int_equal(p.got, 4);
  hs_done(&o);
}

static void a_servers_tickets_are_left_unread(void **state) {
  struct hs_peer p = {.server = true, .ctx = pki_peer_context(w.server, w.ca, true)};
  struct hs_ours o;
  uint8_t wire[4096];
  (void)state;
  SSL_CTX_set_session_id_context(p.ctx, (const unsigned char *)"t", 1);
  hs_meet(&w, &o, &p, RULE_OUT);
  outcome_is(&o, HANDSHAKE_OK, "");
  assert_true(recv(o.fd, wire, sizeof wire, 0) > 200);
  assert_int_equal(wire[0], 23);
  say(&o, "x");
  hs_peer_join(&p);
  assert_int_equal(p.got, 1);
  hs_done(&o);
}

/* Neither a ticket nor a close_notify leaves: the peer waits in vain, and the socket's flags are as they were. */
static void nothing_follows_our_handshake(void **state) {
  (void)state;
  for (int we_serve = 0; we_serve < 2; we_serve++) {
    struct hs_peer p = {.server = !we_serve};
    p.ctx = we_serve ? client_context(w.client) : server_context(w.server);
    struct hs_ours o;
    hs_meet(&w, &o, &p, we_serve ? RULE_IN : RULE_OUT);
    outcome_is(&o, HANDSHAKE_OK, "");
    assert_int_equal(fcntl(o.fd, F_GETFL), O_RDWR);
    say(&o, "first"); /* under sequence number 0: it would not open if anything had gone before */
    hs_peer_join(&p);
    assert_int_equal(p.got, 5);
    hs_done(&o);
  }
}

/* The session that a client may hope for is not given. */
static void no_session_is_resumable(void **state) {
  struct hs_peer p = {.ctx = client_context(w.client)};
  struct hs_ours o;
  (void)state;
  SSL_CTX_set_session_cache_mode(p.ctx, SSL_SESS_CACHE_CLIENT);
  SSL_CTX_up_ref(p.ctx);
  SSL_CTX *ctx = p.ctx;
  hs_meet(&w, &o, &p, RULE_IN);
  say(&o, "x");
  hs_peer_join(&p);
  assert_int_equal(SSL_CTX_sess_number(ctx), 0);
  SSL_CTX_free(ctx);
  hs_done(&o);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(secrets_agree_in_both_roles_and_all_suites),
      cmocka_unit_test(every_kind_of_key_shakes_hands),
      cmocka_unit_test(a_peer_of_a_federated_domain_is_let_in),
      cmocka_unit_test(intermediates_travel_both_ways),
      cmocka_unit_test(a_peer_with_p256_only_costs_a_round_more),
      cmocka_unit_test(sni_is_sent_where_the_rule_says_so_only),
      cmocka_unit_test(the_only_protocol_a_client_speaks_is_confirmed),
      cmocka_unit_test(a_client_that_the_policy_does_not_name_is_told_access_denied),
      cmocka_unit_test(a_server_that_the_policy_does_not_name_is_told_access_denied),
      cmocka_unit_test(policy_audit_lets_pass_and_says_so),
      cmocka_unit_test(policy_audit_does_not_excuse_a_bad_certificate),
      cmocka_unit_test(impostors_are_refused_in_both_roles),
      cmocka_unit_test(a_client_without_a_certificate_is_refused),
      cmocka_unit_test(a_borrowed_certificate_is_not_believed),
      cmocka_unit_test(a_client_that_refuses_us_is_reported_by_its_alert),
      cmocka_unit_test(a_server_that_refuses_us_does_so_later),
      cmocka_unit_test(early_application_data_stays_in_the_kernel),
      cmocka_unit_test(a_server_that_speaks_first_is_not_swallowed),
      cmocka_unit_test(a_servers_tickets_are_left_unread),
      cmocka_unit_test(nothing_follows_our_handshake),
      cmocka_unit_test(no_session_is_resumable),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
