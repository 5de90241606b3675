/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_resume.c - is a peer that was verified once resumed without its certificate, as often as it has tickets and no
 * longer than it would be let in with one?
 */
#include "support_resume.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static struct policy_rule *rule(uint32_t number) {
  return (struct policy_rule *)(uintptr_t)policy_rule_at(resume_world.policy, number);
}

static struct policy *policy_of(const char *text) {
  char why[256];
  struct policy *p = policy_parse("test.yaml", text, strlen(text), NULL, NULL, why, sizeof why);
  if (!p)
    fail_msg("%s", why);
  return p;
}

/* ---- it works ------------------------------------------------------------------------------------------------ */

static void the_second_connection_is_resumed(void **state) {
  (void)state;
  resume_fresh();
  assert_false(resume_meeting(&resume_plain));
  assert_true(purse_count(resume_world.client_id) > 0);
  assert_true(resume_meeting(&resume_plain));
  assert_true(resume_meeting(&resume_plain));
}

static void a_ticket_is_used_once_and_more_are_asked_for_the_faster_they_go(void **state) {
  unsigned full = 0;
  size_t most = 0;
  (void)state;
  resume_fresh();
  for (int i = 0; i < 120; i++) {
    size_t before = purse_count(resume_world.client_id);
    bool was = resume_meeting(&resume_plain);
    assert_int_equal(was, before > 0);
    if (was)
      assert_int_equal(purse_count(resume_world.client_id), before - 1);
    full += !was;
    most = purse_count(resume_world.client_id) > most ? purse_count(resume_world.client_id) : most;
  }
  assert_int_equal(most, TICKET_BATCH_MAX);
  assert_int_equal(full, 4); /* 4, 16, 64 and 64 tickets */
}

static void secrets_are_new_with_every_connection(void **state) {
  struct resume_pair_of a, b;
  (void)state;
  resume_fresh();
  assert_false(resume_meeting(&resume_plain));
  resume_meet(&a, &resume_plain);
  resume_meet(&b, &resume_plain);
  assert_true(a.client.result.resumed && b.client.result.resumed);
  assert_memory_not_equal(a.client.result.rx_secret, b.client.result.rx_secret, 32);
  assert_memory_not_equal(a.client.result.tx_secret, b.client.result.tx_secret, 32);
  resume_part(&a);
  resume_part(&b);
}

static void connections_at_once_take_a_ticket_each_or_go_without(void **state) {
  enum { MANY = 12 };
  struct resume_pair_of m[MANY];
  unsigned with = 0;
  (void)state;
  resume_fresh();
  assert_false(resume_meeting(&resume_plain));
  size_t tickets = purse_count(resume_world.client_id);
  for (int i = 0; i < MANY; i++)
    resume_begin(&m[i], &resume_plain);
  for (int i = 0; i < MANY; i++) {
    hs_wait(&m[i].client);
    hs_wait(&m[i].server);
    assert_int_equal(m[i].client.result.outcome, HANDSHAKE_OK);
    assert_int_equal(m[i].client.result.resumed, m[i].server.result.resumed);
    with += m[i].client.result.resumed;
    resume_part(&m[i]);
  }
  assert_true(with >= tickets && tickets > 0);
}

static void every_other_cipher_suite_is_resumed_too(void **state) {
  const char *suites[] = {"TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"};
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    resume_fresh();
    SSL_CTX_set_ciphersuites(identity_svid_at(resume_world.client_id, 0)->client, suites[i]);
    assert_false(resume_meeting(&resume_plain));
    assert_true(resume_meeting(&resume_plain));
  }
}

/* ---- where it does not --------------------------------------------------------------------------------------- */

static void either_rule_can_say_off(void **state) {
  (void)state;
  for (int side = 0; side < 2; side++) {
    struct policy_rule *off = rule(side ? RULE_IN : RULE_OUT);
    resume_fresh();
    assert_false(resume_meeting(&resume_plain)); /* tickets from before count no more, too */
    off->resumption = false;
    assert_false(resume_meeting(&resume_plain));
    assert_false(resume_meeting(&resume_plain));
    off->resumption = true;
    resume_fresh();
    off->resumption = false;
    assert_false(resume_meeting(&resume_plain));
    assert_int_equal(purse_count(resume_world.client_id), 0);
    off->resumption = true;
  }
}

static void a_new_svid_of_either_side_ends_them(void **state) {
  (void)state;
  resume_fresh();
  assert_false(resume_meeting(&resume_plain));
  resume_renew(&resume_world.server_id, resume_world.server);
  assert_false(resume_meeting(&resume_plain));
  assert_true(resume_meeting(&resume_plain));
  resume_renew(&resume_world.client_id, resume_world.client);
  assert_int_equal(purse_count(resume_world.client_id), 0);
  assert_false(resume_meeting(&resume_plain));
  assert_true(resume_meeting(&resume_plain));
}

static void they_are_good_for_one_rule_only(void **state) {
  struct resume_spec other = {.in = RULE_IN, .out = RULE_OUT_AUDIT};
  (void)state;
  resume_fresh();
  assert_false(resume_meeting(&resume_plain));
  assert_false(resume_meeting(&other));
}

static bool kept_at(time_t now) {
  struct ticket_place place;
  struct ticket_state s;
  uint8_t ticket[TICKET_MAX];
  unsigned want;
  assert_int_equal(ticket_place_make(&place, (struct sockaddr *)&resume_address, RULE_OUT, 0, ""), 0);
  return purse_take(resume_world.client_id, &place, now, ticket, &s, &want) > 0;
}

static void nothing_outlives_either_certificate(void **state) {
  (void)state;
  for (int side = 0; side < 2; side++) {
    struct pki_leaf leaf = {.id = side ? "spiffe://example.org/server" : "spiffe://example.org/client",
                            .valid = {-60, 1000}};
    struct pki_svid *s = pki_issue(resume_world.ca, &leaf);
    resume_fresh();
    resume_renew(side ? &resume_world.server_id : &resume_world.client_id, s);
    assert_false(resume_meeting(&resume_plain));
    time_t end = identity_svid_at(side ? resume_world.server_id : resume_world.client_id, 0)->not_after;
    assert_true(kept_at(end - 2));
    assert_false(kept_at(end));
    assert_int_equal(purse_count(resume_world.client_id), 0);
    pki_svid_free(s);
  }
}

static void nothing_lives_longer_than_an_hour(void **state) {
  (void)state;
  resume_fresh();
  time_t before = time(NULL);
  assert_false(resume_meeting(&resume_plain));
  assert_true(kept_at(before + TICKET_LIFE_S / 2));
  assert_false(kept_at(time(NULL) + TICKET_LIFE_S));
}

/* ---- judged again --------------------------------------------------------------------------------------------- */

static void a_client_that_was_denied_since_is_refused(void **state) {
  struct policy *without = policy_of("listen:\n  - port: 22500\n    mode: enforce\n"
                                     "    allow: [ spiffe://example.org/other ]\n");
  struct resume_pair_of m;
  (void)state;
  resume_fresh();
  assert_false(resume_meeting(&resume_plain));
  resume_meet(&m, &(struct resume_spec){.in = RULE_IN, .out = RULE_OUT, .policy = without});
  assert_int_equal(m.server.result.outcome, HANDSHAKE_DENIED);
  assert_string_equal(m.server.result.peer.text, "spiffe://example.org/client");
  assert_false(m.server.result.resumed);
  resume_part(&m);
  policy_unref(without);
}

static void a_server_that_was_denied_since_is_refused(void **state) {
  struct policy *without =
      policy_of("connect:\n  - to: 127.0.0.1:1\n    mode: enforce\n    allow: [ spiffe://example.org/x ]\n"
                "  - to: 127.0.0.1:2\n    mode: enforce\n    allow: [ spiffe://example.org/x ]\n"
                "  - to: 127.0.0.1:3\n    mode: enforce\n    allow: [ spiffe://example.org/other ]\n");
  struct resume_pair_of m;
  int fd[2];
  (void)state;
  resume_fresh();
  assert_false(resume_meeting(&resume_plain));
  resume_pair(fd);
  struct handshake_request c = hs_request(&resume_world, fd[0], ARENA_CLIENT, RULE_OUT);
  struct handshake_request s = hs_request(&resume_world, fd[1], ARENA_SERVER, RULE_IN);
  c.policy = without; /* the same number, another rule */
  hs_begin(&resume_world, &m.server, &s);
  hs_begin(&resume_world, &m.client, &c);
  hs_wait(&m.client);
  hs_wait(&m.server);
  assert_int_equal(m.client.result.outcome, HANDSHAKE_DENIED);
  assert_string_equal(m.client.result.peer.text, "spiffe://example.org/server");
  assert_int_not_equal(m.server.result.outcome, HANDSHAKE_OK);
  assert_int_equal(purse_count(resume_world.client_id), 0);
  resume_part(&m);
  policy_unref(without);
}

static void under_policy_audit_it_is_told_every_time(void **state) {
  struct policy *shadow = policy_of("listen:\n  - port: 22500\n    mode: enforce\n    policy: audit\n"
                                    "    allow: [ spiffe://example.org/other ]\n");
  struct resume_spec spec = {.in = RULE_IN, .out = RULE_OUT, .policy = shadow};
  (void)state;
  resume_fresh();
  for (int i = 0; i < 3; i++) {
    struct resume_pair_of m;
    resume_meet(&m, &spec);
    assert_int_equal(m.server.result.outcome, HANDSHAKE_OK);
    assert_int_equal(m.server.result.resumed, i > 0);
    assert_true(m.server.result.would_deny);
    assert_string_equal(m.server.result.reason, "not in allow");
    resume_part(&m);
  }
  policy_unref(shadow);
}

/* The server's bundles, CRLs and SVID are a new generation's: whatever changed, the certificate is looked at. */
static void whoever_lost_our_trust_is_refused(void **state) {
  struct resume_pair_of m;
  (void)state;
  for (int how = 0; how < 3; how++) {
    X509_CRL *crl = pki_crl(resume_world.ca, resume_world.client->cert, (struct pki_validity){0, 0});
    struct pki_ca *ca = resume_world.ca, *other = pki_ca_new("example.org");
    resume_fresh();
    assert_false(resume_meeting(&resume_plain));
    identity_unref(resume_world.server_id);
    struct pki_ca *trusted[] = {how == 0 ? other : ca, NULL};
    resume_world.server_id =
        how == 1 ? pki_identity_crl(resume_world.server, trusted, crl) : pki_identity(resume_world.server, trusted);
    resume_meet(&m, &resume_plain);
    if (how == 2) /* nothing changed: a full handshake, and in */
      assert_true(m.server.result.outcome == HANDSHAKE_OK && !m.server.result.resumed);
    else
      assert_int_equal(m.server.result.outcome, HANDSHAKE_UNVERIFIED);
    resume_part(&m);
    X509_CRL_free(crl);
    pki_ca_free(other);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_second_connection_is_resumed),
      cmocka_unit_test(a_ticket_is_used_once_and_more_are_asked_for_the_faster_they_go),
      cmocka_unit_test(secrets_are_new_with_every_connection),
      cmocka_unit_test(connections_at_once_take_a_ticket_each_or_go_without),
      cmocka_unit_test(every_other_cipher_suite_is_resumed_too),
      cmocka_unit_test(either_rule_can_say_off),
      cmocka_unit_test(a_new_svid_of_either_side_ends_them),
      cmocka_unit_test(they_are_good_for_one_rule_only),
      cmocka_unit_test(nothing_outlives_either_certificate),
      cmocka_unit_test(nothing_lives_longer_than_an_hour),
      cmocka_unit_test(a_client_that_was_denied_since_is_refused),
      cmocka_unit_test(a_server_that_was_denied_since_is_refused),
      cmocka_unit_test(under_policy_audit_it_is_told_every_time),
      cmocka_unit_test(whoever_lost_our_trust_is_refused),
  };
  return cmocka_run_group_tests(tests, resume_setup, resume_teardown);
}
