/* SPDX-License-Identifier: Apache-2.0 */
/*
 * der.c - the DER fields of a Workload API reply: certificates one behind the other, a PKCS#8 key, a CRL
 * (SPIFFE_Workload_API.md section 5.2).
 *
 * A field is taken whole or not at all: a byte that is left over makes it malformed.
 */
#include "internal.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

/* A reply is at most 16 MiB; a chain or bundle of more certificates than this is a mistake or an attack. */
#define CERTIFICATES_MAX 1024

STACK_OF(X509) * identity_certificates(const struct identity_bytes *der, char *why, size_t why_len) {
  STACK_OF(X509) *all = sk_X509_new_null();
  const unsigned char *at = der->data, *end = der->len ? der->data + der->len : der->data;
  if (!all || der->len > LONG_MAX) {
    identity_refuse(why, why_len, "out of memory");
    goto fail;
  }
  while (at < end) {
    X509 *cert = NULL;
    if (sk_X509_num(all) < CERTIFICATES_MAX)
      cert = d2i_X509(NULL, &at, (long)(end - at));
    if (!cert) {
      identity_refuse(why, why_len, "certificate %d of it cannot be parsed", sk_X509_num(all) + 1);
      goto fail;
    }
    if (!sk_X509_push(all, cert)) {
      X509_free(cert);
      identity_refuse(why, why_len, "out of memory");
      goto fail;
    }
    X509_check_purpose(cert, -1, 0); /* decodes the extensions now, and not at first use, by two threads at once */
  }
  ERR_clear_error(); /* what is wrong with them is for the rules to say */
  return all;
fail:
  ERR_clear_error();
  sk_X509_pop_free(all, X509_free);
  return NULL;
}

EVP_PKEY *identity_private_key(const struct identity_bytes *der, char *why, size_t why_len) {
  const unsigned char *at = der->data;
  PKCS8_PRIV_KEY_INFO *info = NULL;
  EVP_PKEY *key = NULL;
  if (der->len && der->len <= LONG_MAX)
    info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)der->len);
  if (info && at == der->data + der->len)
    key = EVP_PKCS82PKEY(info);
  PKCS8_PRIV_KEY_INFO_free(info); /* wipes its octets */
  ERR_clear_error();
  if (!key)
    identity_refuse(why, why_len, "the private key is not one PKCS#8 key");
  return key;
}

X509_CRL *identity_crl(const struct identity_bytes *der, char *why, size_t why_len) {
  const unsigned char *at = der->data;
  X509_CRL *crl = der->len && der->len <= LONG_MAX ? d2i_X509_CRL(NULL, &at, (long)der->len) : NULL;
  if (crl && at != der->data + der->len) {
    X509_CRL_free(crl);
    crl = NULL;
  }
  ERR_clear_error();
  if (!crl)
    identity_refuse(why, why_len, "a certificate revocation list cannot be parsed");
  return crl;
}
