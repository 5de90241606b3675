/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_certificate.c - any bytes as what a peer or the agent sends: certificates, a key, a revocation list. Beyond
 * "no crash": nobody is believed whom our CA did not sign (it is made anew for every run, so no input can hold its
 * signature), and every refusal has a reason and an alert.
 *
 * First byte: which field the rest is (0 a peer's chain, 1 our chain, 2 our key, 3 a bundle, 4 a revocation list).
 */
#include "agentclient/identity/internal.h"
#include "tests/unit/support_pki.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct identity *judge;
static struct identity_raw_svid own;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  struct pki_ca *ca = pki_ca_new("example.org");
  struct pki_svid *svid = pki_issue(ca, &(struct pki_leaf){0});
  judge = pki_identity(svid, (struct pki_ca *[]){ca, NULL});
  own = (struct identity_raw_svid){strdup(svid->id), "", pki_der(svid->cert, svid->chain), pki_der_key(svid->key),
                                   pki_der(ca->cert, NULL)};
  pki_svid_free(svid);
  pki_ca_free(ca);
  return 0;
}

static void as_peer(const struct identity_bytes *bytes) {
  char why[256] = "";
  STACK_OF(X509) *chain = identity_certificates(bytes, why, sizeof why);
  X509 *leaf = chain ? sk_X509_shift(chain) : NULL;
  struct spiffeid peer;
  int alert = -1;
  if (!chain && !why[0])
    abort();
  if (leaf) {
    if (identity_verify_peer(judge, leaf, chain, 0, &peer, &alert, why, sizeof why) == 0)
      abort();
    if (!why[0] || alert < 0 || alert > 255)
      abort();
    /* Signers are looked at only behind a signature that no fuzzer can make: look at them here. */
    struct spiffeid domain;
    if (spiffeid_parse(&domain, "spiffe://example.org", 20, 0, NULL) != 0)
      abort();
    if (identity_signer_rules(leaf, &domain, false, why, sizeof why) == 0 &&
        identity_check_leaf(leaf, &peer, why, sizeof why) == 0)
      abort(); /* nothing is both */
  }
  X509_free(leaf);
  sk_X509_pop_free(chain, X509_free);
}

/* Neither a chain nor a key fits but the original, and the input cannot hold that. */
static void as_reply(uint8_t field, const struct identity_bytes *bytes) {
  struct identity_raw_svid svid = own;
  struct identity_raw raw = {.svids = &svid, .svid_count = 1};
  char why[256] = "";
  if (field == 1)
    svid.svid = *bytes;
  else
    svid.key = *bytes;
  if (identity_build(&raw, why, sizeof why) || !why[0])
    abort();
}

static void as_bundle(const struct identity_bytes *bytes) {
  struct identity_domain d;
  char why[256] = "";
  if (identity_domain_init(&d, "partner.test", bytes, why, sizeof why) == 0) {
    if (!identity_domain_same_roots(&d, &d))
      abort();
    identity_domain_free(&d);
  } else if (!why[0])
    abort();
}

static void as_crl(const struct identity_bytes *bytes) {
  char why[256] = "";
  X509_CRL *crl = identity_crl(bytes, why, sizeof why);
  if (!crl && !why[0])
    abort();
  X509_CRL_free(crl);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0)
    return 0;
  struct identity_bytes bytes = {data + 1, size - 1};
  switch (data[0] % 5) {
  case 0:
    as_peer(&bytes);
    break;
  case 3:
    as_bundle(&bytes);
    break;
  case 4:
    as_crl(&bytes);
    break;
  default:
    as_reply(data[0] % 5, &bytes);
  }
  return 0;
}
