/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_verify_path.c - which paths lead from a leaf to a root: intermediates and their rules, bundles, rotation,
 * time, the cache, revocation?
 */
#include "support_verify.h"

#include <pthread.h>
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

/* ---- paths ------------------------------------------------------------------------------------------------- */

static void intermediates_make_a_path(void **state) {
  struct pki_ca *a = pki_ca_under(w.ca, "example.org", &(struct pki_ca_spec){.name = "a"});
  struct pki_ca *b = pki_ca_under(a, "example.org", &(struct pki_ca_spec){.name = "b", .uri = ""});
  struct pki_svid *s = pki_issue(b, &(struct pki_leaf){0});
  (void)state;
  assert_int_equal(sk_X509_num(s->chain), 2);
  verify_believed(w.id, s);
  /* In any order, and with strangers among them. */
  X509 *first = sk_X509_shift(s->chain);
  sk_X509_push(s->chain, first);
  X509_up_ref(w.partner->cert);
  sk_X509_unshift(s->chain, w.partner->cert);
  verify_believed(w.id, s);
  /* But not without one of them. */
  X509_free(sk_X509_pop(s->chain));
  verify_disbelieved(w.id, s, SSL_AD_UNKNOWN_CA, "not signed by the roots");
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
    verify_disbelieved(id, s, bad_middles[i].alert, bad_middles[i].why);
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
  verify_believed(w.id, s);
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
  verify_disbelieved(w.id, s, SSL_AD_UNKNOWN_CA, "not signed by the roots");
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
  verify_believed(id, s);
  X509_free(sk_X509_pop(s->chain));
  verify_believed(id, s);
  pki_svid_free(s);
  /* The upstream itself is not trusted by that. */
  s = pki_issue(upstream, &(struct pki_leaf){.id = "spiffe://example.org/web"});
  verify_disbelieved(id, s, SSL_AD_UNKNOWN_CA, "not signed by the roots");
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
  verify_believed(id, s);
  pki_svid_free(s);
  identity_unref(id);
  pki_ca_free(old);
}

/* Rotation: the new root is only known by the old one's signature. */
static void cross_signed_roots_bridge_a_rotation(void **state) {
  struct pki_ca *new_root = pki_ca_make("example.org", &(struct pki_ca_spec){.name = "new"});
  struct pki_svid *s = pki_issue(new_root, &(struct pki_leaf){0});
  (void)state;
  verify_disbelieved(w.id, s, SSL_AD_UNKNOWN_CA, "not signed by the roots");
  sk_X509_push(s->chain, pki_cross_sign(new_root, w.ca));
  verify_believed(w.id, s);
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
      verify_believed(id, s);
      pki_svid_free(s);
      struct pki_ca *middle = pki_ca_under(roots[i], "example.org", &(struct pki_ca_spec){.name = "m"});
      s = pki_issue(middle, &(struct pki_leaf){0});
      verify_believed(id, s);
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
  verify_disbelieved(id, s, SSL_AD_CERTIFICATE_EXPIRED, "signing certificate O=SPIFFE expired at");
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
  verify_believed(w.id, s);
  verify_disbelieved(id, s, SSL_AD_UNKNOWN_CA, "not signed by the roots");
  identity_unref(id);
  pki_ca_free(others);
  pki_svid_free(s);
}

struct judge {
  struct identity *id;
  struct pki_svid *peer;
  pthread_barrier_t *both;
  int rc;
};

static void *judges(void *arg) {
  struct judge *j = arg;
  pthread_barrier_wait(j->both);
  j->rc = verify_at(j->id, j->peer->cert, j->peer->chain, time(NULL)).rc;
  return NULL;
}

/* What OpenSSL finds out about a root at its first use is written down before threads share it: ThreadSanitizer,
 * which does not see that library's own atomics, sees a write otherwise. */
static void two_threads_may_be_the_first_to_judge_by_a_root(void **state) {
  pthread_barrier_t both;
  (void)state;
  for (int turn = 0; turn < 30; turn++) {
    struct identity *id = pki_identity(w.me, (struct pki_ca *[]){w.ca, NULL});
    struct judge j[2];
    pthread_t thread[2];
    assert_int_equal(pthread_barrier_init(&both, NULL, 2), 0);
    for (int i = 0; i < 2; i++) {
      j[i] = (struct judge){id, pki_issue(w.ca, &(struct pki_leaf){0}), &both, -1};
      assert_int_equal(pthread_create(&thread[i], NULL, judges, &j[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
      pthread_join(thread[i], NULL);
      assert_int_equal(j[i].rc, 0);
      pki_svid_free(j[i].peer);
    }
    pthread_barrier_destroy(&both);
    identity_unref(id);
  }
}

/* A cached leaf with another chain is another question. */
static void a_tampered_certificate_is_not_found_in_the_cache(void **state) {
  struct pki_svid *s = pki_issue(w.ca, &(struct pki_leaf){0});
  unsigned char *der = NULL;
  (void)state;
  verify_believed(w.id, s);
  int len = i2d_X509(s->cert, &der);
  assert_true(len > 0);
  der[len - 1] ^= 1; /* the signature's last bit */
  const unsigned char *at = der;
  X509 *forged = d2i_X509(NULL, &at, len);
  assert_non_null(forged);
  struct verify_answer a = verify_at(w.id, forged, s->chain, 0);
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
  verify_believed(id, good_one);
  verify_disbelieved(id, bad_one, SSL_AD_CERTIFICATE_REVOKED, "certificate is revoked");
  /* partner.test's CA has the same name, but it did not sign this list. */
  verify_believed(id, partner);
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
  verify_believed(w.id, s);
  verify_disbelieved(id, s, SSL_AD_CERTIFICATE_REVOKED, "is revoked");
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
  verify_disbelieved(id, s, SSL_AD_CERTIFICATE_EXPIRED, "CRL has expired");
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
      cmocka_unit_test(two_threads_may_be_the_first_to_judge_by_a_root),
      cmocka_unit_test(a_tampered_certificate_is_not_found_in_the_cache),
      cmocka_unit_test(a_revoked_certificate_is_refused),
      cmocka_unit_test(a_revoked_intermediate_takes_its_leaves_along),
      cmocka_unit_test(a_stale_list_is_no_clean_bill),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
