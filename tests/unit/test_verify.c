/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_verify.c - whom do we believe? Every rule of X509-SVID.md with a certificate that obeys it and one that
 * violates only it, and the attacks of one trust domain on another.
 */
#include "support_pki.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct world {
  struct pki_ca *ca, *partner;
  struct pki_svid *me;
  struct identity *id; /* trusts example.org and partner.test */
};

static struct world w;

static int setup(void **state) {
  (void)state;
  w.ca = pki_ca_new("example.org");
  w.partner = pki_ca_new("partner.test");
  w.me = pki_issue(w.ca, &(struct pki_leaf){.id = "spiffe://example.org/me"});
  w.id = pki_identity(w.me, (struct pki_ca *[]){w.ca, w.partner, NULL});
  return 0;
}

static int teardown(void **state) {
  (void)state;
  identity_unref(w.id);
  pki_svid_free(w.me);
  pki_ca_free(w.ca);
  pki_ca_free(w.partner);
  return 0;
}

struct answer {
  int rc, alert;
  struct spiffeid peer;
  char why[256];
};

static struct answer verify_at(struct identity *id, X509 *leaf, STACK_OF(X509) * chain, time_t now) {
  struct answer a = {.alert = -1};
  a.rc = identity_verify_peer(id, leaf, chain, now, &a.peer, &a.alert, a.why, sizeof a.why);
  return a;
}

static void believed(struct identity *id, const struct pki_svid *s) {
  for (int again = 0; again < 2; again++) { /* the second time out of the cache */
    struct answer a = verify_at(id, s->cert, s->chain, 0);
    if (a.rc != 0)
      fail_msg("%s: %s", s->id, a.why);
    assert_string_equal(a.peer.text, s->id);
  }
}

static void disbelieved(struct identity *id, const struct pki_svid *s, int alert, const char *why) {
  for (int again = 0; again < 2; again++) {
    struct answer a = verify_at(id, s->cert, s->chain, 0);
    if (a.rc == 0)
      fail_msg("%s was believed; expected \"%s\"", s->id, why);
    if (!strstr(a.why, why))
      fail_msg("%s: \"%s\" does not mention \"%s\"", s->id, a.why, why);
    if (alert != a.alert)
      fail_msg("%s: alert %d, expected %d (%s)", s->id, a.alert, alert, a.why);
  }
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
    believed(w.id, s);
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
    disbelieved(w.id, s, bad[i].alert, bad[i].why);
    pki_svid_free(s);
  }
}

static void the_id_of_a_refused_peer_is_reported(void **state) {
  struct pki_svid *s = pki_issue(w.ca, &(struct pki_leaf){.valid = {-7200, -3600}});
  struct answer a = verify_at(w.id, s->cert, s->chain, 0);
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
  believed(w.id, s);
  pki_svid_free(s);
}

/* The attack of a federated partner: its CA signs one of our IDs (and the other way round). */
static void a_federated_root_cannot_vouch_for_our_ids(void **state) {
  struct pki_svid *s = pki_issue(w.partner, &(struct pki_leaf){.id = "spiffe://example.org/admin"});
  (void)state;
  disbelieved(w.id, s, SSL_AD_UNKNOWN_CA, "not signed by the roots of trust domain example.org");
  pki_svid_free(s);
  s = pki_issue(w.ca, &(struct pki_leaf){.id = "spiffe://partner.test/admin"});
  disbelieved(w.id, s, SSL_AD_UNKNOWN_CA, "not signed by the roots of trust domain partner.test");
  pki_svid_free(s);
}

static void nor_by_sending_our_root_along(void **state) {
  struct pki_svid *s = pki_issue(w.partner, &(struct pki_leaf){.id = "spiffe://example.org/admin"});
  (void)state;
  X509_up_ref(w.partner->cert);
  sk_X509_push(s->chain, w.partner->cert);
  X509_up_ref(w.ca->cert);
  sk_X509_push(s->chain, w.ca->cert);
  disbelieved(w.id, s, SSL_AD_UNKNOWN_CA, "not signed by the roots of trust domain example.org");
  pki_svid_free(s);
}

static void an_authority_of_another_domain_cannot_sign_ours(void **state) {
  struct pki_ca *middle = pki_ca_under(w.ca, "partner.test", &(struct pki_ca_spec){.name = "middle"});
  struct pki_svid *s = pki_issue(middle, &(struct pki_leaf){.id = "spiffe://example.org/web"});
  (void)state;
  disbelieved(w.id, s, SSL_AD_BAD_CERTIFICATE, "is of another trust domain");
  pki_svid_free(s);
  pki_ca_free(middle);
}

static void an_impostor_of_the_same_name_is_not_the_root(void **state) {
  struct pki_ca *impostor = pki_ca_new("example.org"); /* same subject, own key */
  struct pki_svid *s = pki_issue(impostor, &(struct pki_leaf){0});
  (void)state;
  disbelieved(w.id, s, SSL_AD_UNKNOWN_CA, "not signed by the roots");
  pki_svid_free(s);
  pki_ca_free(impostor);

  impostor = pki_ca_make("example.org", &(struct pki_ca_spec){.no_key_ids = true});
  s = pki_issue(impostor, &(struct pki_leaf){0});
  disbelieved(w.id, s, SSL_AD_BAD_CERTIFICATE, "not signed by the roots");
  pki_svid_free(s);
  pki_ca_free(impostor);
}

static void an_empty_bundle_trusts_nobody(void **state) {
  struct pki_ca *other = pki_ca_new("other.test");
  struct pki_svid *me = pki_issue(other, &(struct pki_leaf){0});
  struct identity *id = pki_identity(me, (struct pki_ca *[]){NULL}); /* its own domain, no roots */
  (void)state;
  disbelieved(id, me, SSL_AD_UNKNOWN_CA, "trust bundle of trust domain other.test is empty");
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
  disbelieved(id, s, SSL_AD_BAD_CERTIFICATE, "stands in the trust bundle");
  struct pki_svid *child = pki_issue(&pose, &(struct pki_leaf){.id = "spiffe://example.org/child"});
  disbelieved(id, child, SSL_AD_UNKNOWN_CA, "not signed by the roots");
  pki_svid_free(child);
  identity_unref(id);
  pki_svid_free(s);
}

/* ---- paths ------------------------------------------------------------------------------------------------- */

static void intermediates_make_a_path(void **state) {
  struct pki_ca *a = pki_ca_under(w.ca, "example.org", &(struct pki_ca_spec){.name = "a"});
  struct pki_ca *b = pki_ca_under(a, "example.org", &(struct pki_ca_spec){.name = "b", .uri = ""});
  struct pki_svid *s = pki_issue(b, &(struct pki_leaf){0});
  (void)state;
  assert_int_equal(sk_X509_num(s->chain), 2);
  believed(w.id, s);
  /* In any order, and with strangers among them. */
  X509 *first = sk_X509_shift(s->chain);
  sk_X509_push(s->chain, first);
  X509_up_ref(w.partner->cert);
  sk_X509_unshift(s->chain, w.partner->cert);
  believed(w.id, s);
  /* But not without one of them. */
  X509_free(sk_X509_pop(s->chain));
  disbelieved(w.id, s, SSL_AD_UNKNOWN_CA, "not signed by the roots");
  pki_svid_free(s);
  pki_ca_free(b);
  pki_ca_free(a);
}

static const struct {
  const char *root_basic;
  struct pki_ca_spec spec;
  int alert;
  const char *why;
} bad_middles[] = {
    {NULL, {.basic = "critical,CA:FALSE"}, SSL_AD_BAD_CERTIFICATE, "CN=middle,O=SPIFFE is not a CA"},
    {NULL, {.basic = ""}, SSL_AD_BAD_CERTIFICATE, "is not a CA"},
    {NULL, {.usage = "critical,cRLSign"}, SSL_AD_BAD_CERTIFICATE, "lacks keyCertSign"},
    {NULL, {.usage = ""}, SSL_AD_BAD_CERTIFICATE, "has no keyUsage"},
    {NULL, {.uri = "spiffe://example.org/ca"}, SSL_AD_BAD_CERTIFICATE, "SPIFFE ID with a path"},
    {NULL, {.uri = "spiffe://Example.org"}, SSL_AD_BAD_CERTIFICATE, "invalid SPIFFE ID"},
    {NULL,
     {.valid = {-7200, -3600}},
     SSL_AD_CERTIFICATE_EXPIRED,
     "signing certificate CN=middle,O=SPIFFE expired at"},
    {NULL, {.valid = {3600, 7200}}, SSL_AD_BAD_CERTIFICATE, "is not valid before"},
    {NULL, {.constraints = "critical,permitted;URI:prod.example.org"}, SSL_AD_BAD_CERTIFICATE, "permitted subtree"},
    {NULL, {.constraints = "critical,excluded;URI:example.org"}, SSL_AD_BAD_CERTIFICATE, "excluded subtree"},
    {NULL, {.sha1 = true}, SSL_AD_BAD_CERTIFICATE, "too weak"},
    {NULL, {.key = PKI_RSA1024}, SSL_AD_BAD_CERTIFICATE, "too weak"},
    {"critical,CA:TRUE,pathlen:0", {0}, SSL_AD_UNKNOWN_CA, "path length constraint exceeded"},
};

static void an_intermediate_that_breaks_a_rule_makes_none(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof bad_middles / sizeof bad_middles[0]; i++) {
    struct pki_ca_spec spec = bad_middles[i].spec;
    spec.name = "middle";
    struct pki_ca *root = pki_ca_make("example.org", &(struct pki_ca_spec){.basic = bad_middles[i].root_basic});
    struct pki_ca *middle = pki_ca_under(root, "example.org", &spec);
    struct identity *id = pki_identity(w.me, (struct pki_ca *[]){root, NULL});
    struct pki_svid *s = pki_issue(middle, &(struct pki_leaf){0});
    disbelieved(id, s, bad_middles[i].alert, bad_middles[i].why);
    pki_svid_free(s);
    identity_unref(id);
    pki_ca_free(middle);
    pki_ca_free(root);
  }
}

static void fitting_name_constraints_are_fine(void **state) {
  struct pki_ca *m = pki_ca_under(
      w.ca, "example.org", &(struct pki_ca_spec){.name = "m", .constraints = "critical,permitted;URI:example.org"});
  struct pki_svid *s = pki_issue(m, &(struct pki_leaf){0});
  (void)state;
  believed(w.id, s);
  pki_svid_free(s);
  pki_ca_free(m);
}

static void a_chain_that_is_too_long_is_refused(void **state) {
  struct pki_ca *ca[16] = {w.ca};
  (void)state;
  for (int i = 1; i < 16; i++) {
    char name[8];
    snprintf(name, sizeof name, "m%d", i);
    ca[i] = pki_ca_under(ca[i - 1], "example.org", &(struct pki_ca_spec){.name = name});
  }
  struct pki_svid *s = pki_issue(ca[15], &(struct pki_leaf){0});
  disbelieved(w.id, s, SSL_AD_UNKNOWN_CA, "not signed by the roots");
  pki_svid_free(s);
  for (int i = 15; i > 0; i--)
    pki_ca_free(ca[i]);
}

/* An intermediate in the bundle is an anchor (X509-SVID.md 6.1: roots only SHOULD be self-signed). */
static void a_bundle_may_hold_an_intermediate(void **state) {
  struct pki_ca *upstream = pki_ca_make("upstream.test", &(struct pki_ca_spec){.name = "upstream", .uri = ""});
  struct pki_ca *middle = pki_ca_under(upstream, "example.org", &(struct pki_ca_spec){.name = "middle"});
  struct identity *id = pki_identity(w.me, (struct pki_ca *[]){middle, NULL});
  struct pki_svid *s = pki_issue(middle, &(struct pki_leaf){0});
  (void)state;
  believed(id, s);
  X509_free(sk_X509_pop(s->chain));
  believed(id, s);
  pki_svid_free(s);
  /* The upstream itself is not trusted by that. */
  s = pki_issue(upstream, &(struct pki_leaf){.id = "spiffe://example.org/web"});
  disbelieved(id, s, SSL_AD_UNKNOWN_CA, "not signed by the roots");
  pki_svid_free(s);
  identity_unref(id);
  pki_ca_free(middle);
  pki_ca_free(upstream);
}

static void a_root_without_key_usage_or_id_is_a_root(void **state) {
  struct pki_ca *old = pki_ca_make("example.org", &(struct pki_ca_spec){.usage = "", .uri = "", .name = "old"});
  struct identity *id = pki_identity(w.me, (struct pki_ca *[]){old, NULL});
  struct pki_svid *s = pki_issue(old, &(struct pki_leaf){0});
  (void)state;
  believed(id, s);
  pki_svid_free(s);
  identity_unref(id);
  pki_ca_free(old);
}

/* Rotation: the new root is only known by the old one's signature. */
static void cross_signed_roots_bridge_a_rotation(void **state) {
  struct pki_ca *new_root = pki_ca_make("example.org", &(struct pki_ca_spec){.name = "new"});
  struct pki_svid *s = pki_issue(new_root, &(struct pki_leaf){0});
  (void)state;
  disbelieved(w.id, s, SSL_AD_UNKNOWN_CA, "not signed by the roots");
  sk_X509_push(s->chain, pki_cross_sign(new_root, w.ca));
  believed(w.id, s);
  pki_svid_free(s);
  pki_ca_free(new_root);
}

/* SPIRE's roots all have the same subject; without key identifiers only the signature tells them apart. */
static void roots_of_one_name_are_all_tried(void **state) {
  (void)state;
  for (int key_ids = 0; key_ids < 2; key_ids++) {
    struct pki_ca_spec spec = {.no_key_ids = !key_ids};
    struct pki_ca *roots[4] = {NULL};
    for (int i = 0; i < 3; i++)
      roots[i] = pki_ca_make("example.org", &spec);
    struct identity *id = pki_identity(w.me, roots);
    for (int i = 0; i < 3; i++) {
      struct pki_svid *s = pki_issue(roots[i], &(struct pki_leaf){0});
      believed(id, s);
      pki_svid_free(s);
      struct pki_ca *middle = pki_ca_under(roots[i], "example.org", &(struct pki_ca_spec){.name = "m"});
      s = pki_issue(middle, &(struct pki_leaf){0});
      believed(id, s);
      pki_svid_free(s);
      pki_ca_free(middle);
    }
    identity_unref(id);
    for (int i = 0; i < 3; i++)
      pki_ca_free(roots[i]);
  }
}

static void an_expired_root_is_no_root(void **state) {
  struct pki_ca *old = pki_ca_make("example.org", &(struct pki_ca_spec){.valid = {-7200, -60}});
  struct identity *id = pki_identity(w.me, (struct pki_ca *[]){old, NULL});
  struct pki_svid *s = pki_issue(old, &(struct pki_leaf){0});
  (void)state;
  disbelieved(id, s, SSL_AD_CERTIFICATE_EXPIRED, "signing certificate O=SPIFFE expired at");
  pki_svid_free(s);
  identity_unref(id);
  pki_ca_free(old);
}

/* ---- time, cache, revocation --------------------------------------------------------------------------------- */

/* The cache must not outlive the shortest-lived certificate of the path. */
static void a_cached_path_expires_with_its_certificates(void **state) {
  struct pki_ca *middle =
      pki_ca_under(w.ca, "example.org", &(struct pki_ca_spec){.name = "m", .valid = {-100, 1000}});
  struct pki_svid *s = pki_issue(middle, &(struct pki_leaf){.valid = {-50, 2000}});
  time_t now = time(NULL);
  (void)state;
  assert_int_equal(verify_at(w.id, s->cert, s->chain, now).rc, 0);
  assert_int_equal(verify_at(w.id, s->cert, s->chain, now + 900).rc, 0);
  assert_int_equal(verify_at(w.id, s->cert, s->chain, now + 1100).rc, -1);
  assert_int_equal(verify_at(w.id, s->cert, s->chain, now - 70).rc, -1);
  assert_int_equal(verify_at(w.id, s->cert, s->chain, now).rc, 0);
  pki_svid_free(s);
  pki_ca_free(middle);
}

/* The same certificate is not remembered across identities: the other one may trust other roots. */
static void the_cache_is_of_one_identity(void **state) {
  struct pki_svid *s = pki_issue(w.ca, &(struct pki_leaf){0});
  struct pki_ca *others = pki_ca_new("example.org");
  struct identity *id = pki_identity(w.me, (struct pki_ca *[]){others, NULL});
  (void)state;
  believed(w.id, s);
  disbelieved(id, s, SSL_AD_UNKNOWN_CA, "not signed by the roots");
  identity_unref(id);
  pki_ca_free(others);
  pki_svid_free(s);
}

/* A cached leaf with another chain is another question. */
static void a_tampered_certificate_is_not_found_in_the_cache(void **state) {
  struct pki_svid *s = pki_issue(w.ca, &(struct pki_leaf){0});
  unsigned char *der = NULL;
  (void)state;
  believed(w.id, s);
  int len = i2d_X509(s->cert, &der);
  assert_true(len > 0);
  der[len - 1] ^= 1; /* the signature's last bit */
  const unsigned char *at = der;
  X509 *forged = d2i_X509(NULL, &at, len);
  assert_non_null(forged);
  struct answer a = verify_at(w.id, forged, s->chain, 0);
  assert_int_equal(a.rc, -1);
  X509_free(forged);
  OPENSSL_free(der);
  pki_svid_free(s);
}

static void a_revoked_certificate_is_refused(void **state) {
  struct pki_svid *bad_one = pki_issue(w.ca, &(struct pki_leaf){0}),
                  *good_one = pki_issue(w.ca, &(struct pki_leaf){0});
  X509_CRL *crl = pki_crl(w.ca, bad_one->cert, (struct pki_validity){0, 0});
  struct identity *id = pki_identity_crl(w.me, (struct pki_ca *[]){w.ca, w.partner, NULL}, crl);
  struct pki_svid *partner = pki_issue(w.partner, &(struct pki_leaf){0});
  (void)state;
  believed(id, good_one);
  disbelieved(id, bad_one, SSL_AD_CERTIFICATE_REVOKED, "certificate is revoked");
  /* partner.test's CA has the same name, but it did not sign this list. */
  believed(id, partner);
  identity_unref(id);
  X509_CRL_free(crl);
  pki_svid_free(partner);
  pki_svid_free(bad_one);
  pki_svid_free(good_one);
}

static void a_revoked_intermediate_takes_its_leaves_along(void **state) {
  struct pki_ca *middle = pki_ca_under(w.ca, "example.org", &(struct pki_ca_spec){.name = "m"});
  struct pki_svid *s = pki_issue(middle, &(struct pki_leaf){0});
  X509_CRL *crl = pki_crl(w.ca, middle->cert, (struct pki_validity){0, 0});
  struct identity *id = pki_identity_crl(w.me, (struct pki_ca *[]){w.ca, NULL}, crl);
  (void)state;
  believed(w.id, s);
  disbelieved(id, s, SSL_AD_CERTIFICATE_REVOKED, "is revoked");
  identity_unref(id);
  X509_CRL_free(crl);
  pki_svid_free(s);
  pki_ca_free(middle);
}

static void a_stale_list_is_no_clean_bill(void **state) {
  struct pki_svid *s = pki_issue(w.ca, &(struct pki_leaf){0});
  X509_CRL *crl = pki_crl(w.ca, NULL, (struct pki_validity){-7200, -3600});
  struct identity *id = pki_identity_crl(w.me, (struct pki_ca *[]){w.ca, NULL}, crl);
  (void)state;
  disbelieved(id, s, SSL_AD_CERTIFICATE_EXPIRED, "CRL has expired");
  identity_unref(id);
  X509_CRL_free(crl);

  /* One that goes stale later is not outlived by the cache. */
  time_t now = time(NULL);
  crl = pki_crl(w.ca, NULL, (struct pki_validity){-60, 600});
  id = pki_identity_crl(w.me, (struct pki_ca *[]){w.ca, NULL}, crl);
  assert_int_equal(verify_at(id, s->cert, s->chain, now).rc, 0);
  assert_int_equal(verify_at(id, s->cert, s->chain, now + 700).rc, -1);
  identity_unref(id);
  X509_CRL_free(crl);
  pki_svid_free(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_leaf_that_obeys_is_believed),
      cmocka_unit_test(a_leaf_that_breaks_one_rule_is_not),
      cmocka_unit_test(the_id_of_a_refused_peer_is_reported),
      cmocka_unit_test(each_domain_is_verified_by_its_own_roots),
      cmocka_unit_test(a_federated_root_cannot_vouch_for_our_ids),
      cmocka_unit_test(nor_by_sending_our_root_along),
      cmocka_unit_test(an_authority_of_another_domain_cannot_sign_ours),
      cmocka_unit_test(an_impostor_of_the_same_name_is_not_the_root),
      cmocka_unit_test(an_empty_bundle_trusts_nobody),
      cmocka_unit_test(a_leaf_in_the_bundle_is_not_an_authority),
      cmocka_unit_test(intermediates_make_a_path),
      cmocka_unit_test(an_intermediate_that_breaks_a_rule_makes_none),
      cmocka_unit_test(fitting_name_constraints_are_fine),
      cmocka_unit_test(a_chain_that_is_too_long_is_refused),
      cmocka_unit_test(a_bundle_may_hold_an_intermediate),
      cmocka_unit_test(a_root_without_key_usage_or_id_is_a_root),
      cmocka_unit_test(cross_signed_roots_bridge_a_rotation),
      cmocka_unit_test(roots_of_one_name_are_all_tried),
      cmocka_unit_test(an_expired_root_is_no_root),
      cmocka_unit_test(a_cached_path_expires_with_its_certificates),
      cmocka_unit_test(the_cache_is_of_one_identity),
      cmocka_unit_test(a_tampered_certificate_is_not_found_in_the_cache),
      cmocka_unit_test(a_revoked_certificate_is_refused),
      cmocka_unit_test(a_revoked_intermediate_takes_its_leaves_along),
      cmocka_unit_test(a_stale_list_is_no_clean_bill),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
