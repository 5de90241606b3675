/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity.h - what a workload is: its SVIDs and the trust bundles of every domain it may verify.
 *
 * An identity is immutable and reference-counted. Every update from the agent makes a new one (a new
 * generation) from the complete reply; keys are parsed once, here, and kept as EVP_PKEY. Thread-safe.
 */
#ifndef IDENTITY_IDENTITY_H
#define IDENTITY_IDENTITY_H

#include "spiffeid.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdint.h>
#include <time.h>

/* A reply of the Workload API, as raw DER; owned by whoever fills it in. private_key (PKCS#8) is
 * cleansed by its owner after use. */
struct identity_bytes {
  const uint8_t *data;
  size_t len;
};
struct identity_raw_svid {
  const char *spiffe_id;
  const char *hint;             /* "" where there is none */
  struct identity_bytes svid;   /* concatenated DER certificates, leaf first */
  struct identity_bytes key;    /* PKCS#8 DER */
  struct identity_bytes bundle; /* concatenated DER certificates of its own trust domain */
};
struct identity_raw_bundle {
  const char *trust_domain; /* "spiffe://partner.test" or "partner.test" */
  struct identity_bytes bundle;
};
struct identity_raw {
  struct identity_raw_svid *svids;
  size_t svid_count;
  struct identity_raw_bundle *federated;
  size_t federated_count;
  struct identity_bytes *crls;
  size_t crl_count;
};

struct identity_svid {
  struct spiffeid id;
  char hint[1025]; /* at most 1024 bytes */
  X509 *leaf;
  STACK_OF(X509) * chain; /* intermediates, leaf excluded */
  EVP_PKEY *key;
  time_t not_before, not_after;
  SSL_CTX *server, *client; /* TLS 1.3 only, this SVID, verification by identity_verify_peer() */
};

struct identity; /* reference-counted */

/* Parses and checks a complete reply. An invalid SVID or bundle invalidates the whole reply (the caller
 * keeps what it had). NULL and a reason in why (why_len). */
struct identity *identity_build(const struct identity_raw *raw, char *why, size_t why_len);
struct identity *identity_ref(struct identity *id);
void identity_unref(struct identity *id); /* wipes keys with the last reference */

uint64_t identity_generation(const struct identity *id); /* grows by one with every identity_build() */
size_t identity_svid_count(const struct identity *id);
const struct identity_svid *identity_svid_at(const struct identity *id, size_t i);
/* By ID, by hint, or (both NULL) the first that the agent sent. NULL when it is not served. Expired ones
 * are returned: the caller looks at not_after. */
const struct identity_svid *identity_select(const struct identity *id, const char *spiffe_id, const char *hint);
size_t identity_domain_count(const struct identity *id);
const char *identity_domain_at(const struct identity *id, size_t i);

/* In which a finding holds: from the second `from`, until before the second `until`. */
struct identity_span {
  time_t from, until;
};

/* X.509-SVID verification of a peer (X509-SVID.md section 5, RFC 5280): leaf first in chain. Fills in peer
 * where the certificate carries a valid SPIFFE ID, even when verification fails later (for the audit line).
 * 0, or -1 with a reason and *alert (an SSL_AD_* value) to send. now: seconds, 0 = the present. There is no
 * tolerance for clocks that differ: a certificate is good from notBefore until notAfter. */
int identity_verify_peer(const struct identity *id, X509 *leaf, STACK_OF(X509) * chain, time_t now,
                         struct spiffeid *peer, int *alert, char *why, size_t why_len);
/* The same, and for how long this identity's bundles and lists let the answer stand: in *span, on success. */
int identity_verify_peer_span(const struct identity *id, X509 *leaf, STACK_OF(X509) * chain, time_t now,
                              struct spiffeid *peer, struct identity_span *span, int *alert, char *why,
                              size_t why_len);

/* The leaf rules alone (X509-SVID.md sections 2 to 4): 0 or -1 and a reason. */
int identity_check_leaf(X509 *leaf, struct spiffeid *id, char *why, size_t why_len);

#endif
