/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_identity_context.c - does an SVID's SSL_CTX verify its peers by itself, when nobody watches? Whoever takes a
 * context and forgets to look must not get an open door.
 */
#include "support_pki.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct pki_ca *ca;
static struct pki_svid *me;
static struct identity *id;

static int setup(void **state) {
  (void)state;
  ca = pki_ca_new("example.org");
  me = pki_issue(ca, &(struct pki_leaf){.id = "spiffe://example.org/me"});
  id = pki_identity(me, (struct pki_ca *[]){ca, NULL});
  return 0;
}

static int teardown(void **state) {
  (void)state;
  identity_unref(id);
  pki_svid_free(me);
  pki_ca_free(ca);
  return 0;
}

/* 1: both sides are done, 0: one refused. */
static int shake(SSL *client, SSL *server) {
  BIO *a, *b;
  assert_true(BIO_new_bio_pair(&a, 0, &b, 0));
  SSL_set_bio(client, a, a);
  SSL_set_bio(server, b, b);
  SSL_set_connect_state(client);
  SSL_set_accept_state(server);
  for (int i = 0; i < 20; i++) {
    int c = SSL_do_handshake(client), s = SSL_do_handshake(server);
    if (c == 1 && s == 1)
      return 1;
    int ce = SSL_get_error(client, c), se = SSL_get_error(server, s);
    if (ce == SSL_ERROR_SSL || se == SSL_ERROR_SSL)
      return 0;
  }
  return 0;
}

static int meet(const struct pki_svid *peer, bool we_serve, long *verdict) {
  const struct identity_svid *own = identity_svid_at(id, 0);
  SSL_CTX *theirs = pki_peer_context(peer, NULL, !we_serve);
  SSL *ours = SSL_new(we_serve ? own->server : own->client), *other = SSL_new(theirs);
  /* A server must ask for our certificate, or it would not be mutual; it believes anybody. */
  int rc = we_serve ? shake(other, ours) : shake(ours, other);
  *verdict = SSL_get_verify_result(ours);
  SSL_free(ours);
  SSL_free(other);
  SSL_CTX_free(theirs);
  return rc;
}

static void a_good_peer_is_let_in(void **state) {
  struct pki_svid *peer = pki_issue(ca, &(struct pki_leaf){0});
  long verdict;
  (void)state;
  assert_int_equal(meet(peer, true, &verdict), 1);
  assert_int_equal(meet(peer, false, &verdict), 1);
  pki_svid_free(peer);
}

static const struct {
  struct pki_leaf leaf;
  long verdict;
} bad[] = {
    {{.second = "spiffe://example.org/b"}, X509_V_ERR_CERT_REJECTED},
    {{.valid = {-7200, -3600}}, X509_V_ERR_CERT_HAS_EXPIRED},
    {{.self_signed = true}, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY},
    {{.purposes = "serverAuth"}, X509_V_ERR_INVALID_PURPOSE},
    {{.id = "spiffe://partner.test/x"}, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY},
};

static void a_bad_one_is_not(void **state) {
  (void)state;
  for (size_t i = 0; i < 2 * sizeof bad / sizeof bad[0]; i++) {
    struct pki_svid *peer = pki_issue(ca, &bad[i / 2].leaf);
    long verdict = X509_V_OK;
    assert_int_equal(meet(peer, i % 2, &verdict), 0);
    assert_int_equal(verdict, bad[i / 2].verdict);
    pki_svid_free(peer);
  }
}

static void nor_one_without_a_certificate(void **state) {
  long verdict;
  (void)state;
  assert_int_equal(meet(NULL, true, &verdict), 0);
}

/* Our own SVID of each kind, in both roles, and a peer that is verified by each kind. */
static void every_kind_of_key_serves_and_dials(void **state) {
  static const enum pki_key kinds[] = {PKI_P256, PKI_P384, PKI_ED25519, PKI_RSA2048, PKI_RSA3072, PKI_RSA4096};
  struct identity *all[6];
  (void)state;
  for (size_t i = 0; i < 6; i++) {
    struct pki_svid *svid = pki_issue(ca, &(struct pki_leaf){.key = kinds[i]});
    all[i] = pki_identity(svid, (struct pki_ca *[]){ca, NULL});
    pki_svid_free(svid);
  }
  for (size_t i = 0; i < 6; i++) {
    SSL *server = SSL_new(identity_svid_at(all[i], 0)->server),
        *client = SSL_new(identity_svid_at(all[5 - i], 0)->client);
    assert_int_equal(shake(client, server), 1);
    assert_non_null(SSL_get0_peer_certificate(client));
    assert_non_null(SSL_get0_peer_certificate(server));
    SSL_free(server);
    SSL_free(client);
  }
  for (size_t i = 0; i < 6; i++)
    identity_unref(all[i]);
}

/* A CA of each kind, and one that changes its kind in a rotation. */
static void authorities_of_every_kind(void **state) {
  static const enum pki_key kinds[] = {PKI_P384, PKI_ED25519, PKI_RSA2048, PKI_RSA4096};
  (void)state;
  for (size_t i = 0; i < 4; i++) {
    struct pki_ca *other = pki_ca_make("example.org", &(struct pki_ca_spec){.key = kinds[i]});
    struct pki_svid *svid = pki_issue(other, &(struct pki_leaf){0});
    struct identity *both = pki_identity(me, (struct pki_ca *[]){ca, other, NULL});
    SSL_CTX *theirs = pki_peer_context(svid, NULL, false);
    SSL *server = SSL_new(identity_svid_at(both, 0)->server), *client = SSL_new(theirs);
    assert_int_equal(shake(client, server), 1);
    SSL_free(server);
    SSL_free(client);
    SSL_CTX_free(theirs);
    identity_unref(both);
    pki_svid_free(svid);
    pki_ca_free(other);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_good_peer_is_let_in),         cmocka_unit_test(a_bad_one_is_not),
      cmocka_unit_test(nor_one_without_a_certificate), cmocka_unit_test(every_kind_of_key_serves_and_dials),
      cmocka_unit_test(authorities_of_every_kind),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
