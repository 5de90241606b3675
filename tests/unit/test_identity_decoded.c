/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_identity_decoded.c - is a certificate that was found valid not decoded again, and judged again all the same?
 */
#include "agentclient/identity/internal.h"
#include "support_pki.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

X509 *__wrap_d2i_X509(X509 **out, const unsigned char **in, long len);

static struct pki_ca *ca;
static struct pki_svid *web;
static struct identity *me;

static int setup(void **state) {
  (void)state;
  ca = pki_ca_new("example.org");
  web = pki_issue(ca, &(struct pki_leaf){0});
  me = pki_identity(web, (struct pki_ca *[]){ca, NULL});
  return 0;
}

static int teardown(void **state) {
  (void)state;
  identity_unref(me);
  pki_svid_free(web);
  pki_ca_free(ca);
  return 0;
}

static int verify(const struct identity *id, X509 *leaf, STACK_OF(X509) * chain) {
  struct spiffeid peer;
  int alert;
  return identity_verify_peer(id, leaf, chain, 0, &peer, &alert, NULL, 0);
}

/* As libssl does it. */
static X509 *decode(const struct identity_bytes *der, size_t len) {
  X509 *x = X509_new();
  const unsigned char *p = der->data;
  X509 *got = __wrap_d2i_X509(&x, &p, (long)len);
  assert_true(got == x);
  if (got)
    assert_ptr_equal(p, der->data + der->len);
  return got;
}

static void a_valid_one_is_the_same_object_from_then_on(void **state) {
  struct pki_svid *peer = pki_issue(ca, &(struct pki_leaf){.id = "spiffe://example.org/peer"});
  struct identity_bytes der = pki_der(peer->cert, NULL);
  (void)state;
  X509 *first = decode(&der, der.len);
  X509 *again = decode(&der, der.len);
  assert_ptr_not_equal(first, again); /* not known yet */
  assert_int_equal(verify(me, first, NULL), 0);
  X509 *third = decode(&der, der.len), *fourth = decode(&der, der.len);
  assert_ptr_equal(third, first);
  assert_ptr_equal(fourth, first);
  X509_free(first);
  X509_free(again);
  X509_free(third);
  assert_int_equal(X509_cmp(fourth, peer->cert), 0); /* each caller had a reference of its own */
  X509_free(fourth);
  free((void *)(uintptr_t)der.data);
  pki_svid_free(peer);
}

static void intermediates_too(void **state) {
  struct pki_ca *under = pki_ca_under(ca, "example.org", &(struct pki_ca_spec){.name = "under"});
  struct pki_svid *peer = pki_issue(under, &(struct pki_leaf){.id = "spiffe://example.org/peer"});
  struct identity_bytes der = pki_der(sk_X509_value(peer->chain, 0), NULL);
  (void)state;
  assert_int_equal(verify(me, peer->cert, peer->chain), 0);
  X509 *got = decode(&der, der.len);
  assert_ptr_equal(got, sk_X509_value(peer->chain, 0));
  X509_free(got);
  free((void *)(uintptr_t)der.data);
  pki_svid_free(peer);
  pki_ca_free(under);
}

static void one_that_is_not_valid_is_never_kept(void **state) {
  struct pki_svid *peer = pki_issue(ca, &(struct pki_leaf){.valid = {-100, -10}});
  struct identity_bytes der = pki_der(peer->cert, NULL);
  (void)state;
  assert_int_equal(verify(me, peer->cert, NULL), -1);
  assert_null(identity_decoded_get(der.data, der.len));
  free((void *)(uintptr_t)der.data);
  pki_svid_free(peer);
}

static void a_known_one_is_refused_where_it_is_not_trusted_any_more(void **state) {
  struct pki_svid *peer = pki_issue(ca, &(struct pki_leaf){.id = "spiffe://example.org/peer"});
  struct pki_ca *other = pki_ca_new("example.org");
  X509_CRL *crl = pki_crl(ca, peer->cert, (struct pki_validity){0, 0});
  struct identity *elsewhere = pki_identity(web, (struct pki_ca *[]){other, NULL});
  struct identity *strict = pki_identity_crl(web, (struct pki_ca *[]){ca, NULL}, crl);
  struct identity_bytes der = pki_der(peer->cert, NULL);
  (void)state;
  assert_int_equal(verify(me, peer->cert, NULL), 0);
  X509 *known = decode(&der, der.len);
  assert_ptr_equal(known, peer->cert);
  assert_int_equal(verify(elsewhere, known, NULL), -1);
  assert_int_equal(verify(strict, known, NULL), -1);
  assert_int_equal(verify(me, known, NULL), 0);
  X509_free(known);
  identity_unref(elsewhere);
  identity_unref(strict);
  X509_CRL_free(crl);
  free((void *)(uintptr_t)der.data);
  pki_ca_free(other);
  pki_svid_free(peer);
}

static void bytes_behind_it_and_bytes_missing_are_openssls_affair(void **state) {
  struct identity_bytes der = pki_der(web->cert, NULL);
  unsigned char *longer = malloc(der.len + 1);
  (void)state;
  assert_int_equal(verify(me, web->cert, NULL), 0);
  memcpy(longer, der.data, der.len);
  longer[der.len] = 0;
  const unsigned char *p = longer;
  X509 *got = __wrap_d2i_X509(NULL, &p, (long)der.len + 1);
  assert_non_null(got);
  assert_ptr_not_equal(got, web->cert);
  assert_ptr_equal(p, longer + der.len); /* libssl sees that a byte is left, and refuses */
  X509_free(got);
  p = longer;
  assert_null(__wrap_d2i_X509(NULL, &p, (long)der.len - 1));
  longer[der.len / 2] ^= 1;
  p = longer;
  got = __wrap_d2i_X509(NULL, &p, (long)der.len);
  assert_ptr_not_equal(got, web->cert);
  X509_free(got);
  free(longer);
  free((void *)(uintptr_t)der.data);
}

static void many_peers_push_each_other_out(void **state) {
  unsigned kept = 0;
  (void)state;
  for (int i = 0; i < 600; i++) {
    struct pki_svid *peer = pki_issue(ca, &(struct pki_leaf){0});
    assert_int_equal(verify(me, peer->cert, NULL), 0);
    struct identity_bytes der = pki_der(peer->cert, NULL);
    X509 *got = identity_decoded_get(der.data, der.len);
    kept += got != NULL;
    X509_free(got);
    free((void *)(uintptr_t)der.data);
    pki_svid_free(peer);
  }
  assert_int_equal(kept, 600);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_valid_one_is_the_same_object_from_then_on),
      cmocka_unit_test(intermediates_too),
      cmocka_unit_test(one_that_is_not_valid_is_never_kept),
      cmocka_unit_test(a_known_one_is_refused_where_it_is_not_trusted_any_more),
      cmocka_unit_test(bytes_behind_it_and_bytes_missing_are_openssls_affair),
      cmocka_unit_test(many_peers_push_each_other_out),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
