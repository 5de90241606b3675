/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_identity.c - does a reply of the agent become an identity as a whole, or not at all and for a named reason?
 */
#include "support_pki.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* A reply with two SVIDs of example.org and a federated bundle, all of it owned and so open to damage. */
struct reply {
  struct pki_ca *ca, *partner;
  struct pki_svid *web, *db;
  struct identity_raw_svid svid[2];
  struct identity_raw_bundle federated[2];
  struct identity_raw raw;
};

static void *data(struct identity_bytes b) { return (void *)(uintptr_t)b.data; }

static void reply_make(struct reply *r) {
  memset(r, 0, sizeof *r);
  r->ca = pki_ca_new("example.org");
  r->partner = pki_ca_new("partner.test");
  r->web = pki_issue(r->ca, &(struct pki_leaf){.id = "spiffe://example.org/web"});
  r->db = pki_issue(r->ca, &(struct pki_leaf){.id = "spiffe://example.org/db", .key = PKI_RSA2048});
  struct pki_svid *const all[] = {r->web, r->db};
  for (int i = 0; i < 2; i++)
    r->svid[i] = (struct identity_raw_svid){all[i]->id, i ? "internal" : "", pki_der(all[i]->cert, all[i]->chain),
                                            pki_der_key(all[i]->key), pki_der(r->ca->cert, NULL)};
  r->federated[0] = (struct identity_raw_bundle){"spiffe://partner.test", pki_der(r->partner->cert, NULL)};
  r->raw = (struct identity_raw){r->svid, 2, r->federated, 1, NULL, 0};
}

static void reply_free(struct reply *r) {
  for (int i = 0; i < 2; i++) {
    free(data(r->svid[i].svid));
    free(data(r->svid[i].key));
    free(data(r->svid[i].bundle));
    free(data(r->federated[i].bundle));
  }
  pki_svid_free(r->web);
  pki_svid_free(r->db);
  pki_ca_free(r->ca);
  pki_ca_free(r->partner);
}

static struct reply r;
static int setup(void **state) {
  (void)state;
  reply_make(&r);
  return 0;
}
static int teardown(void **state) {
  (void)state;
  reply_free(&r);
  return 0;
}

static struct identity *built(void) {
  char why[256] = "";
  struct identity *id = identity_build(&r.raw, why, sizeof why);
  if (!id)
    fail_msg("%s", why);
  return id;
}

static void refused(const char *expected) {
  char why[256] = "";
  struct identity *id = identity_build(&r.raw, why, sizeof why);
  if (id)
    fail_msg("built, expected \"%s\"", expected);
  if (!strstr(why, expected))
    fail_msg("\"%s\" does not mention \"%s\"", why, expected);
}

/* ---- a good one ------------------------------------------------------------------------------------------ */

static void a_complete_reply_becomes_an_identity(void **state) {
  struct identity *id = built();
  const struct identity_svid *s = identity_svid_at(id, 1);
  (void)state;
  assert_int_equal(identity_svid_count(id), 2);
  assert_string_equal(s->id.text, "spiffe://example.org/db");
  assert_string_equal(s->hint, "internal");
  assert_true(EVP_PKEY_eq(s->key, r.db->key));
  assert_int_equal(X509_cmp(s->leaf, r.db->cert), 0);
  assert_true(s->not_after > time(NULL) && s->not_before < time(NULL));
  assert_non_null(s->server);
  assert_non_null(s->client);
  assert_int_equal(identity_domain_count(id), 2);
  assert_string_equal(identity_domain_at(id, 0), "example.org");
  assert_string_equal(identity_domain_at(id, 1), "partner.test");
  assert_null(identity_domain_at(id, 2));
  assert_null(identity_svid_at(id, 2));
  identity_unref(id);
}

static void selects_by_id_by_hint_or_the_first(void **state) {
  struct identity *id = built();
  (void)state;
  assert_ptr_equal(identity_select(id, NULL, NULL), identity_svid_at(id, 0));
  assert_ptr_equal(identity_select(id, "spiffe://example.org/db", NULL), identity_svid_at(id, 1));
  assert_ptr_equal(identity_select(id, NULL, "internal"), identity_svid_at(id, 1));
  assert_ptr_equal(identity_select(id, "spiffe://example.org/db", "internal"), identity_svid_at(id, 1));
  assert_null(identity_select(id, "spiffe://example.org/web", "internal"));
  assert_null(identity_select(id, "spiffe://example.org/d", NULL));
  assert_null(identity_select(id, NULL, "external"));
  identity_unref(id);
}

static void generations_grow_by_one(void **state) {
  struct identity *a = built(), *b;
  (void)state;
  r.raw.svid_count = 0;
  refused("no SVID"); /* a failed one does not count */
  r.raw.svid_count = 2;
  b = built();
  assert_int_equal(identity_generation(b), identity_generation(a) + 1);
  identity_unref(a);
  identity_unref(b);
}

static void lives_as_long_as_a_reference(void **state) {
  struct identity *id = built();
  (void)state;
  identity_ref(id);
  identity_unref(id);
  assert_string_equal(identity_svid_at(id, 0)->id.text, "spiffe://example.org/web");
  identity_unref(id);
  identity_unref(NULL);
}

/* The owner of the reply may wipe it at once: nothing of the identity points into it. */
static void keeps_nothing_of_the_reply(void **state) {
  struct identity *id = built();
  (void)state;
  memset(data(r.svid[0].key), 0xaa, r.svid[0].key.len);
  memset(data(r.svid[0].svid), 0xaa, r.svid[0].svid.len);
  memset(data(r.svid[0].bundle), 0xaa, r.svid[0].bundle.len);
  assert_true(EVP_PKEY_eq(identity_svid_at(id, 0)->key, r.web->key));
  assert_int_equal(X509_cmp(identity_svid_at(id, 0)->leaf, r.web->cert), 0);
  identity_unref(id);
}

static void takes_keys_of_every_usual_kind(void **state) {
  static const enum pki_key kinds[] = {PKI_P256, PKI_P384, PKI_RSA2048, PKI_ED25519};
  (void)state;
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    struct pki_ca *ca = pki_ca_make("example.org", &(struct pki_ca_spec){.key = kinds[i]});
    struct pki_svid *s = pki_issue(ca, &(struct pki_leaf){.key = kinds[i]});
    struct identity *id = pki_identity(s, (struct pki_ca *[]){ca, NULL});
    identity_unref(id);
    pki_svid_free(s);
    pki_ca_free(ca);
  }
}

static void an_expired_svid_is_still_an_identity(void **state) {
  struct pki_svid *s = pki_issue(r.ca, &(struct pki_leaf){.valid = {-7200, -3600}});
  struct identity *id = pki_identity(s, (struct pki_ca *[]){r.ca, NULL});
  (void)state;
  assert_true(identity_svid_at(id, 0)->not_after < time(NULL));
  identity_unref(id);
  pki_svid_free(s);
}

/* ---- bad ones: one fault, and the whole reply is refused ---------------------------------------------------- */

static void a_reply_without_svids(void **state) {
  (void)state;
  r.raw.svid_count = 0;
  refused("no SVID");
}

static void an_id_that_is_not_the_certificates(void **state) {
  (void)state;
  r.svid[1].spiffe_id = "spiffe://example.org/web";
  refused("SVID 2: the reply calls it spiffe://example.org/web, its certificate spiffe://example.org/db");
}

static void an_id_that_is_none(void **state) {
  (void)state;
  r.svid[1].spiffe_id = "spiffe://example.org/a/../db";
  refused("SVID 2: its spiffe_id is not a valid SPIFFE ID");
  r.svid[1].spiffe_id = NULL;
  refused("SVID 2: its spiffe_id");
}

static void somebody_elses_key(void **state) {
  struct identity_bytes own = r.svid[1].key;
  (void)state;
  r.svid[1].key = r.svid[0].key;
  refused("SVID 2: the private key does not belong to the certificate");
  r.svid[1].key = own;
}

static void a_key_that_is_no_pkcs8(void **state) {
  (void)state;
  r.svid[0].key.len--;
  refused("SVID 1: the private key is not one PKCS#8 key");
  r.svid[0].key.len = 0;
  refused("SVID 1: the private key is not one PKCS#8 key");
}

static void a_key_with_bytes_behind_it(void **state) {
  uint8_t *longer = malloc(r.svid[0].key.len + 1);
  (void)state;
  memcpy(longer, r.svid[0].key.data, r.svid[0].key.len);
  longer[r.svid[0].key.len] = 0;
  free(data(r.svid[0].key));
  r.svid[0].key.data = longer;
  r.svid[0].key.len++;
  refused("SVID 1: the private key is not one PKCS#8 key");
}

static void a_chain_that_is_cut_or_damaged(void **state) {
  (void)state;
  r.svid[1].svid.len--;
  refused("SVID 2: certificate 1 of it cannot be parsed");
  r.svid[1].svid.len = 0;
  refused("SVID 2: it has no certificate");
}

static void a_bundle_that_is_damaged(void **state) {
  (void)state;
  r.federated[0].bundle.len -= 3;
  refused("trust bundle of partner.test: certificate 1 of it cannot be parsed");
}

static void a_bundle_for_no_trust_domain(void **state) {
  (void)state;
  r.federated[0].trust_domain = "spiffe://partner.test/path";
  refused("no valid trust domain");
  r.federated[0].trust_domain = NULL;
  refused("no valid trust domain");
}

/* A federated partner (or a confused agent) must not widen our own roots. */
static void a_second_bundle_for_our_own_domain(void **state) {
  (void)state;
  r.federated[0].trust_domain = "example.org";
  refused("two different trust bundles for trust domain example.org");
  r.federated[1] = (struct identity_raw_bundle){"example.org", pki_der(r.ca->cert, NULL)};
  struct identity_raw_bundle same = r.federated[1], other = r.federated[0];
  r.federated[0] = same;
  r.raw.federated_count = 1;
  struct identity *id = built(); /* the same one again is no contradiction */
  assert_int_equal(identity_domain_count(id), 1);
  identity_unref(id);
  r.federated[1] = other;
  free(data(same.bundle));
  r.federated[0].bundle.data = NULL;
}

static void an_svid_that_breaks_the_leaf_rules(void **state) {
  struct pki_svid *s = pki_issue(r.ca, &(struct pki_leaf){.usage = "critical,digitalSignature,keyCertSign"});
  (void)state;
  free(data(r.svid[0].svid));
  r.svid[0].svid = pki_der(s->cert, NULL);
  refused("SVID 1: keyUsage of the leaf has keyCertSign");
  pki_svid_free(s);
}

static void an_intermediate_that_may_not_sign(void **state) {
  struct pki_ca *m =
      pki_ca_under(r.ca, "example.org", &(struct pki_ca_spec){.name = "m", .usage = "critical,cRLSign"});
  struct pki_svid *s = pki_issue(m, &(struct pki_leaf){0});
  (void)state;
  free(data(r.svid[0].svid));
  r.svid[0].svid = pki_der(s->cert, s->chain);
  refused("SVID 1: signing certificate CN=m,O=SPIFFE lacks keyCertSign");
  pki_svid_free(s);
  pki_ca_free(m);
}

static void a_hint_without_end(void **state) {
  char hint[2000];
  (void)state;
  memset(hint, 'h', sizeof hint);
  hint[sizeof hint - 1] = '\0';
  r.svid[0].hint = hint;
  refused("SVID 1: its hint is longer than 1024 bytes");
}

static void a_revocation_list_that_is_none(void **state) {
  struct identity_bytes junk = {(const uint8_t *)"junk", 4};
  (void)state;
  r.raw.crls = &junk;
  r.raw.crl_count = 1;
  refused("revocation list cannot be parsed");
}

/* Every single bit of the whole reply's certificates and key, flipped: never a crash, never the same identity. */
static void damage_anywhere_is_survived(void **state) {
  (void)state;
  r.raw.svid_count = 1;
  struct identity_bytes *const fields[] = {&r.svid[0].svid, &r.svid[0].key, &r.federated[0].bundle};
  for (size_t f = 0; f < 3; f++) {
    for (size_t i = 0; i < fields[f]->len; i++) {
      uint8_t *at = (uint8_t *)data(*fields[f]) + i;
      *at ^= (uint8_t)(1u << (i % 8));
      char why[256] = "";
      struct identity *id = identity_build(&r.raw, why, sizeof why);
      if (!id)
        assert_true(why[0] != '\0');
      identity_unref(id);
      *at ^= (uint8_t)(1u << (i % 8));
    }
  }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_complete_reply_becomes_an_identity),
      TEST(selects_by_id_by_hint_or_the_first),
      TEST(generations_grow_by_one),
      TEST(lives_as_long_as_a_reference),
      TEST(keeps_nothing_of_the_reply),
      TEST(takes_keys_of_every_usual_kind),
      TEST(an_expired_svid_is_still_an_identity),
      TEST(a_reply_without_svids),
      TEST(an_id_that_is_not_the_certificates),
      TEST(an_id_that_is_none),
      TEST(somebody_elses_key),
      TEST(a_key_that_is_no_pkcs8),
      TEST(a_key_with_bytes_behind_it),
      TEST(a_chain_that_is_cut_or_damaged),
      TEST(a_bundle_that_is_damaged),
      TEST(a_bundle_for_no_trust_domain),
      TEST(a_second_bundle_for_our_own_domain),
      TEST(an_svid_that_breaks_the_leaf_rules),
      TEST(an_intermediate_that_may_not_sign),
      TEST(a_hint_without_end),
      TEST(a_revocation_list_that_is_none),
      TEST(damage_anywhere_is_survived),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
