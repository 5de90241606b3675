/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_verify.c - whom do we believe? Every rule of X509-SVID.md for a leaf, with a certificate that obeys it and one
 * that violates only it, and the attacks of one trust domain on another.
 */
#include "support_verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct verify_world w;

static int setup(void **state) {
  (void)state;
  verify_world_open(&w);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  verify_world_close(&w);
  return 0;
}

/* ---- leaves ---------------------------------------------------------------------------------------------- */

static const struct {
  const char *name;
  struct pki_leaf leaf;
} good[] = {
    {"plain", {0}},
    {"P-384", {.key = PKI_P384}},
    {"RSA", {.key = PKI_RSA2048}},
    {"Ed25519", {.key = PKI_ED25519}},
    {"a DNS name beside the URI", {.dns = "web.example.org"}},
    {"no extended key usage", {.purposes = ""}},
    {"more purposes than two", {.purposes = "serverAuth,clientAuth,codeSigning"}},
    {"keyEncipherment and keyAgreement too", {.usage = "critical,digitalSignature,keyEncipherment,keyAgreement"}},
    {"keyUsage not critical", {.usage = "digitalSignature"}},
    {"no basic constraints: not a CA", {.basic = ""}},
    {"a long path", {.id = "spiffe://example.org/ns/prod/sa/web/v2.1_x-Y"}},
};

static void a_leaf_that_obeys_is_believed(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    struct pki_svid *s = pki_issue(w.ca, &good[i].leaf);
    verify_believed(w.id, s);
    pki_svid_free(s);
  }
}

#define NUL_ID "spiffe://example.org/web\0.evil"
static const struct {
  struct pki_leaf leaf;
  int alert;
  const char *why;
} bad[] = {
    {{.id = ""}, SSL_AD_BAD_CERTIFICATE, "no URI SAN"},
    {{.id = "", .dns = "example.org"}, SSL_AD_BAD_CERTIFICATE, "no URI SAN"},
    {{.second = "spiffe://example.org/db"}, SSL_AD_BAD_CERTIFICATE, "two URI SANs"},
    {{.second = "https://example.org/"}, SSL_AD_BAD_CERTIFICATE, "two URI SANs"},
    {{.second = "spiffe://example.org/web"}, SSL_AD_BAD_CERTIFICATE, "two URI SANs"},
    {{.san_twice = true}, SSL_AD_BAD_CERTIFICATE, "appears twice"},
    {{.id = "https://example.org/web"}, SSL_AD_BAD_CERTIFICATE, "does not begin with spiffe://"},
    {{.id = "spiffe://example.org"}, SSL_AD_BAD_CERTIFICATE, "has no path"},
    {{.id = "spiffe://example.org/"}, SSL_AD_BAD_CERTIFICATE, "empty segment"},
    {{.id = "spiffe://example.org/a/../web"}, SSL_AD_BAD_CERTIFICATE, "'.' or '..'"},
    {{.id = NUL_ID, .id_len = sizeof NUL_ID - 1}, SSL_AD_BAD_CERTIFICATE, "only letters"},
    {{.basic = "critical,CA:TRUE"}, SSL_AD_BAD_CERTIFICATE, "leaf is a CA"},
    {{.usage = ""}, SSL_AD_UNSUPPORTED_CERTIFICATE, "no keyUsage"},
    {{.usage = "critical,keyEncipherment"}, SSL_AD_UNSUPPORTED_CERTIFICATE, "lacks digitalSignature"},
    {{.usage = "critical,digitalSignature,keyCertSign"}, SSL_AD_BAD_CERTIFICATE, "has keyCertSign"},
    {{.usage = "critical,digitalSignature,cRLSign"}, SSL_AD_BAD_CERTIFICATE, "has cRLSign"},
    {{.purposes = "serverAuth"}, SSL_AD_UNSUPPORTED_CERTIFICATE, "lacks clientAuth"},
    {{.purposes = "clientAuth"}, SSL_AD_UNSUPPORTED_CERTIFICATE, "lacks serverAuth"},
    {{.purposes = "anyExtendedKeyUsage"}, SSL_AD_UNSUPPORTED_CERTIFICATE, "lacks serverAuth"},
    {{.valid = {-7200, -3600}}, SSL_AD_CERTIFICATE_EXPIRED, "certificate expired at 20"},
    {{.valid = {3600, 7200}}, SSL_AD_BAD_CERTIFICATE, "certificate is not valid before 20"},
    {{.self_signed = true}, SSL_AD_UNKNOWN_CA, "not signed by the roots of trust domain example.org"},
    {{.id = "spiffe://nowhere.test/web"}, SSL_AD_UNKNOWN_CA, "no trust bundle for trust domain nowhere.test"},
    {{.extra_oid = "1.3.6.1.4.1.99999.1"}, SSL_AD_BAD_CERTIFICATE, "critical extension"},
    {{.subject = "SPIFFE"}, SSL_AD_UNKNOWN_CA, "leaf and issuer have the same subject"},
    {{.key = PKI_RSA1024}, SSL_AD_BAD_CERTIFICATE, "too weak"},
    {{.sha1 = true}, SSL_AD_BAD_CERTIFICATE, "too weak"},
};

static void a_leaf_that_breaks_one_rule_is_not(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    struct pki_svid *s = pki_issue(w.ca, &bad[i].leaf);
    verify_disbelieved(w.id, s, bad[i].alert, bad[i].why);
    pki_svid_free(s);
  }
}

static void the_id_of_a_refused_peer_is_reported(void **state) {
  struct pki_svid *s = pki_issue(w.ca, &(struct pki_leaf){.valid = {-7200, -3600}});
  struct verify_answer a = verify_at(w.id, s->cert, s->chain, 0);
  (void)state;
  assert_int_equal(a.rc, -1);
  assert_string_equal(a.peer.text, "spiffe://example.org/web");
  pki_svid_free(s);

  s = pki_issue(w.ca, &(struct pki_leaf){.second = "spiffe://example.org/db"});
  a = verify_at(w.id, s->cert, s->chain, 0);
  assert_int_equal(a.peer.len, 0); /* two names are no name */
  pki_svid_free(s);
}

/* ---- trust domains --------------------------------------------------------------------------------------- */

static void each_domain_is_verified_by_its_own_roots(void **state) {
  struct pki_svid *s = pki_issue(w.partner, &(struct pki_leaf){0});
  (void)state;
  verify_believed(w.id, s);
  pki_svid_free(s);
}

/* The attack of a federated partner: its CA signs one of our IDs (and the other way round). */
static void a_federated_root_cannot_vouch_for_our_ids(void **state) {
  struct pki_svid *s = pki_issue(w.partner, &(struct pki_leaf){.id = "spiffe://example.org/admin"});
  (void)state;
  verify_disbelieved(w.id, s, SSL_AD_UNKNOWN_CA, "not signed by the roots of trust domain example.org");
  pki_svid_free(s);
  s = pki_issue(w.ca, &(struct pki_leaf){.id = "spiffe://partner.test/admin"});
  verify_disbelieved(w.id, s, SSL_AD_UNKNOWN_CA, "not signed by the roots of trust domain partner.test");
  pki_svid_free(s);
}

/* example.org's CA signs for names that begin like its own, or that its own begins like. */
static void a_domain_is_not_another_that_begins_like_it(void **state) {
  static const char *const ids[] = {"spiffe://example/web", "spiffe://example.org.evil/web",
                                    "spiffe://example.or/web"};
  (void)state;
  for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
    struct pki_svid *s = pki_issue(w.ca, &(struct pki_leaf){.id = ids[i]});
    verify_disbelieved(w.id, s, SSL_AD_UNKNOWN_CA, "no trust bundle for trust domain example");
    pki_svid_free(s);
  }
}

static void nor_by_sending_our_root_along(void **state) {
  struct pki_svid *s = pki_issue(w.partner, &(struct pki_leaf){.id = "spiffe://example.org/admin"});
  (void)state;
  X509_up_ref(w.partner->cert);
  sk_X509_push(s->chain, w.partner->cert);
  X509_up_ref(w.ca->cert);
  sk_X509_push(s->chain, w.ca->cert);
  verify_disbelieved(w.id, s, SSL_AD_UNKNOWN_CA, "not signed by the roots of trust domain example.org");
  pki_svid_free(s);
}

static void an_authority_of_another_domain_cannot_sign_ours(void **state) {
  struct pki_ca *middle = pki_ca_under(w.ca, "partner.test", &(struct pki_ca_spec){.name = "middle"});
  struct pki_svid *s = pki_issue(middle, &(struct pki_leaf){.id = "spiffe://example.org/web"});
  (void)state;
  verify_disbelieved(w.id, s, SSL_AD_BAD_CERTIFICATE, "is of another trust domain");
  pki_svid_free(s);
  pki_ca_free(middle);
}

static void an_impostor_of_the_same_name_is_not_the_root(void **state) {
  struct pki_ca *impostor = pki_ca_new("example.org"); /* same subject, own key */
  struct pki_svid *s = pki_issue(impostor, &(struct pki_leaf){0});
  (void)state;
  verify_disbelieved(w.id, s, SSL_AD_UNKNOWN_CA, "not signed by the roots");
  pki_svid_free(s);
  pki_ca_free(impostor);

  impostor = pki_ca_make("example.org", &(struct pki_ca_spec){.no_key_ids = true});
  s = pki_issue(impostor, &(struct pki_leaf){0});
  verify_disbelieved(w.id, s, SSL_AD_BAD_CERTIFICATE, "not signed by the roots");
  pki_svid_free(s);
  pki_ca_free(impostor);
}

static void an_empty_bundle_trusts_nobody(void **state) {
  struct pki_ca *other = pki_ca_new("other.test");
  struct pki_svid *me = pki_issue(other, &(struct pki_leaf){0});
  struct identity *id = pki_identity(me, (struct pki_ca *[]){NULL}); /* its own domain, no roots */
  (void)state;
  verify_disbelieved(id, me, SSL_AD_UNKNOWN_CA, "trust bundle of trust domain other.test is empty");
  identity_unref(id);
  pki_svid_free(me);
  pki_ca_free(other);
}

/* A bundle says who may sign. */
static void a_leaf_in_the_bundle_is_not_an_authority(void **state) {
  struct pki_svid *s = pki_issue(w.ca, &(struct pki_leaf){0});
  struct pki_ca pose = {.domain = "example.org", .cert = s->cert, .key = s->key};
  struct identity *id = pki_identity(w.me, (struct pki_ca *[]){&pose, NULL});
  (void)state;
  verify_disbelieved(id, s, SSL_AD_BAD_CERTIFICATE, "stands in the trust bundle");
  struct pki_svid *child = pki_issue(&pose, &(struct pki_leaf){.id = "spiffe://example.org/child"});
  verify_disbelieved(id, child, SSL_AD_UNKNOWN_CA, "not signed by the roots");
  pki_svid_free(child);
  identity_unref(id);
  pki_svid_free(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_leaf_that_obeys_is_believed),
      cmocka_unit_test(a_leaf_that_breaks_one_rule_is_not),
      cmocka_unit_test(the_id_of_a_refused_peer_is_reported),
      cmocka_unit_test(each_domain_is_verified_by_its_own_roots),
      cmocka_unit_test(a_federated_root_cannot_vouch_for_our_ids),
      cmocka_unit_test(a_domain_is_not_another_that_begins_like_it),
      cmocka_unit_test(nor_by_sending_our_root_along),
      cmocka_unit_test(an_authority_of_another_domain_cannot_sign_ours),
      cmocka_unit_test(an_impostor_of_the_same_name_is_not_the_root),
      cmocka_unit_test(an_empty_bundle_trusts_nobody),
      cmocka_unit_test(a_leaf_in_the_bundle_is_not_an_authority),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
