/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal.h - what the files of identity/ share and nobody else sees.
 */
#ifndef IDENTITY_INTERNAL_H
#define IDENTITY_INTERNAL_H

#include "identity.h"

#include <stdatomic.h>
#include <stdbool.h>

/* -- words.c: reasons, and the pieces of certificates that go into them ------------------------------- */

/* Writes a reason (why may be NULL) and returns -1, so that a check can end with it. */
int identity_refuse(char *why, size_t why_len, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* "2026-11-21T08:02:59Z", in a buffer of at least 32 bytes; "at an unreadable time" where it is none. */
const char *identity_time_text(const ASN1_TIME *t, char *buf, size_t len);
/* -1 where it is unreadable. */
time_t identity_time(const ASN1_TIME *t);
/* The subject in RFC 2253's form with every control character escaped; "(no subject)" if empty. */
const char *identity_subject_text(X509 *cert, char *buf, size_t len);

/* -- der.c: concatenated DER, parsed to the last byte ---------------------------------------------------- */

/* A new stack, empty for no bytes; NULL and a reason at the first byte that is no certificate. */
STACK_OF(X509) * identity_certificates(const struct identity_bytes *der, char *why, size_t why_len);
/* One unencrypted PKCS#8 private key, no byte behind it. */
EVP_PKEY *identity_private_key(const struct identity_bytes *der, char *why, size_t why_len);
X509_CRL *identity_crl(const struct identity_bytes *der, char *why, size_t why_len);

/* -- rules.c: what the X.509-SVID standard asks of single certificates ------------------------------------ */

/* The leaf rules, with the alert that fits the violated one. id is filled in where there is a valid one. */
int identity_leaf_rules(X509 *leaf, struct spiffeid *id, int *alert, char *why, size_t why_len);
/* A signing certificate in a path for trust domain `domain`. anchor: it comes from the trust bundle. */
int identity_signer_rules(X509 *signer, const struct spiffeid *domain, bool anchor, char *why, size_t why_len);

/* -- bundle.c: the roots of one trust domain -------------------------------------------------------------- */

struct identity_domain {
  char name[SPIFFEID_DOMAIN_MAX + 1];
  STACK_OF(X509) * roots;
  X509_STORE *store; /* the same certificates, and nobody else's */
};
int identity_domain_init(struct identity_domain *d, const char *name, const struct identity_bytes *bundle, char *why,
                         size_t why_len);
void identity_domain_free(struct identity_domain *d);
bool identity_domain_same_roots(const struct identity_domain *a, const struct identity_domain *b);

/* -- cache.c: paths that were found valid ------------------------------------------------------------------ */

struct identity_cache; /* of one identity, so that a new generation begins with an empty one; thread-safe */
struct identity_cache_key {
  unsigned char hash[32];
};
struct identity_cache *identity_cache_new(void);
void identity_cache_free(struct identity_cache *c);
/* SHA-256 over the domain and every certificate that the peer sent, in order. -1: do not cache. */
int identity_cache_key(struct identity_cache_key *key, const struct identity_domain *d, X509 *leaf,
                       STACK_OF(X509) * chain);
bool identity_cache_has(struct identity_cache *c, const struct identity_cache_key *key, time_t now,
                        struct identity_span *span);
void identity_cache_add(struct identity_cache *c, const struct identity_cache_key *key,
                        const struct identity_span *span);

/* -- decoded.c: valid certificates, decoded; for all identities, thread-safe ------------------------------------- */

void identity_decoded_add(X509 *cert);
X509 *identity_decoded_get(const unsigned char *der, size_t len); /* referenced; NULL: not known */

/* -- path.c: RFC 5280 ---------------------------------------------------------------------------------------- */

int identity_path_verify(const struct identity_domain *d, STACK_OF(X509_CRL) * crls, X509 *leaf,
                         STACK_OF(X509) * chain, const struct spiffeid *peer, time_t now, struct identity_span *span,
                         int *alert, char *why, size_t why_len);

/* -- ticket.c, purse.c: both of one generation, and wiped with it (ticket.h) ------------------------------------ */

struct ticket_key;
struct ticket_key *ticket_key_new(void);
void ticket_key_free(struct ticket_key *k);
struct purse;
struct purse *purse_new(void);
void purse_free(struct purse *p);

/* -- context.c ------------------------------------------------------------------------------------------------- */

/* svid's leaf, chain and key are set; id is not referenced: it owns the context. */
SSL_CTX *identity_context_new(struct identity *id, const struct identity_svid *svid, bool server, char *why,
                              size_t why_len);

struct identity {
  _Atomic unsigned refs;
  uint64_t generation;
  struct identity_svid *svids;
  size_t svid_count;
  struct identity_domain *domains;
  size_t domain_count;
  STACK_OF(X509_CRL) * crls;
  struct identity_cache *cache;
  struct ticket_key *ticket_key;
  struct purse *purse;
};

#endif
