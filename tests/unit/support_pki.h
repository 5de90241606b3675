/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support_pki.h - certificate authorities, SVIDs and identities for tests, made by OpenSSL at run time. Each rule of
 * the X.509-SVID standard has a knob that violates it; a zeroed spec obeys all of them.
 *
 *     struct pki_ca *ca = pki_ca_new("example.org");
 *     struct pki_svid *web = pki_issue(ca, &(struct pki_leaf){.id = "spiffe://example.org/web"});
 *     struct identity *me = pki_identity(web, (struct pki_ca *[]){ca, NULL});
 *
 * Every function ends the test on failure, so that no caller checks. Nothing here is for production.
 */
#ifndef TESTS_SUPPORT_PKI_H
#define TESTS_SUPPORT_PKI_H

#include "agentclient/identity/identity.h"

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdbool.h>

enum pki_key { PKI_P256 = 0, PKI_P384, PKI_RSA2048, PKI_RSA1024, PKI_ED25519, PKI_RSA3072, PKI_RSA4096 };

/* Times are seconds from now; 0 and 0: from a minute ago until in an hour. */
struct pki_validity {
  long from, until;
};

struct pki_ca_spec {
  const char *name; /* subject's CN; NULL: "SPIFFE" (all CAs share it, as SPIRE's do) */
  const char *uri;  /* NULL: "spiffe://<domain>"; "": no URI SAN */
  enum pki_key key;
  const char *basic;       /* NULL: "critical,CA:TRUE"; "": none */
  const char *usage;       /* NULL: "critical,keyCertSign,cRLSign"; "": none */
  const char *constraints; /* name constraints, e.g. "critical,permitted;URI:example.org"; NULL: none */
  bool no_key_ids;         /* neither subject nor authority key identifier */
  bool sha1;               /* signed with SHA-1 */
  struct pki_validity valid;
};

struct pki_ca {
  char domain[256];
  X509 *cert;
  EVP_PKEY *key;
  const struct pki_ca *parent; /* NULL for a root; must outlive it */
};

struct pki_leaf {
  const char *id;      /* URI SAN; NULL: "spiffe://<the CA's domain>/web"; "": none */
  size_t id_len;       /* 0: strlen(id); else id may hold NULs */
  const char *second;  /* a second URI SAN */
  const char *dns;     /* a DNS SAN beside it */
  const char *subject; /* its O; NULL: "SPIRE" (a CA's is "SPIFFE") */
  enum pki_key key;
  const char *basic;     /* NULL: "critical,CA:FALSE"; "": none */
  const char *usage;     /* NULL: "critical,digitalSignature"; "": none */
  const char *purposes;  /* extended key usage; NULL: "serverAuth,clientAuth"; "": none */
  const char *extra_oid; /* adds a critical extension with this OID that nobody knows */
  bool san_twice;        /* the whole SAN extension appears twice */
  bool self_signed;      /* by its own key, not the CA's */
  bool sha1;
  struct pki_validity valid;
};

struct pki_svid {
  char id[2048 + 1];
  X509 *cert;
  EVP_PKEY *key;
  STACK_OF(X509) * chain; /* intermediates, leaf and root excluded */
};

struct pki_ca *pki_ca_new(const char *domain);
struct pki_ca *pki_ca_make(const char *domain, const struct pki_ca_spec *spec);
struct pki_ca *pki_ca_under(const struct pki_ca *parent, const char *domain, const struct pki_ca_spec *spec);
/* The CA's name and key in a certificate signed by another: a cross-certificate. */
X509 *pki_cross_sign(const struct pki_ca *ca, const struct pki_ca *by);
void pki_ca_free(struct pki_ca *ca);

struct pki_svid *pki_issue(const struct pki_ca *ca, const struct pki_leaf *leaf);
void pki_svid_free(struct pki_svid *svid);

/* A P-256 key that claims the public half of another and does not have its private half: a thief's. */
EVP_PKEY *pki_key_pretend(EVP_PKEY *victim);

/* A CRL of the CA that lists cert (may be NULL: an empty list). */
X509_CRL *pki_crl(const struct pki_ca *ca, X509 *cert, struct pki_validity valid);

/* The DER fields of a Workload API reply. data is malloc()ed. */
struct identity_bytes pki_der(X509 *first, STACK_OF(X509) * rest);
struct identity_bytes pki_der_key(EVP_PKEY *key);
struct identity_bytes pki_der_crl(X509_CRL *crl);

/* An identity for the SVID that trusts the given CAs, each for its own domain (several of one domain: all of them).
 * The list ends with NULL. */
struct identity *pki_identity(const struct pki_svid *svid, struct pki_ca *const *trusted);
struct identity *pki_identity_crl(const struct pki_svid *svid, struct pki_ca *const *trusted, X509_CRL *crl);

/* An independent TLS peer: plain OpenSSL, TLS 1.2 and 1.3, no verification unless ca is given (then required). svid
 * may be NULL: no certificate. */
SSL_CTX *pki_peer_context(const struct pki_svid *svid, const struct pki_ca *ca, bool server);

#endif
