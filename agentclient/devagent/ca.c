/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates as SPIRE makes them: P-256, one URI SAN, and exactly the extensions that X509-SVID.md
 * (sections 2 to 4) asks for. Never for production: nobody vouches for this CA and nothing backs it up.
 */
#include "ca.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROOT_TTL_S ((int64_t)365 * 24 * 3600)
#define BACKDATE_S 10 /* peers' clocks may run a little late */

struct devagent_ca {
  X509 *cert;
  EVP_PKEY *key;
  uint8_t *root;
  size_t root_len;
  int64_t last_not_after;
};

int64_t devagent_now_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int add_extension(X509 *x, X509 *issuer, int nid, const char *value) {
  X509V3_CTX ctx;
  X509V3_set_ctx_nodb(&ctx);
  X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
  X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
  int ok = e && X509_add_ext(x, e, -1) == 1;
  X509_EXTENSION_free(e);
  return ok;
}

/* Not through the text form above: a SPIFFE ID must never be read as configuration syntax. */
static int add_uri_san(X509 *x, const char *uri) {
  GENERAL_NAMES *names = GENERAL_NAMES_new();
  GENERAL_NAME *name = GENERAL_NAME_new();
  ASN1_IA5STRING *text = ASN1_IA5STRING_new();
  int ok = 0;
  if (!names || !name || !text || !ASN1_STRING_set(text, uri, (int)strlen(uri)))
    goto out;
  GENERAL_NAME_set0_value(name, GEN_URI, text);
  text = NULL;
  if (!sk_GENERAL_NAME_push(names, name))
    goto out;
  name = NULL;
  ok = X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0) == 1;
out:
  ASN1_IA5STRING_free(text);
  GENERAL_NAME_free(name);
  GENERAL_NAMES_free(names);
  return ok;
}

static int set_serial(X509 *x) {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof bytes) != 1)
    return 0;
  bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); /* positive, full length (RFC 5280 4.1.2.2) */
  BIGNUM *n = BN_bin2bn(bytes, sizeof bytes, NULL);
  int ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;
  BN_free(n);
  return ok;
}

/* A certificate with everything but its extensions and signature. */
static X509 *blank(EVP_PKEY *key, const char *name, int64_t not_before_s, int64_t not_after_s) {
  X509 *x = X509_new();
  X509_NAME *subject = x ? X509_get_subject_name(x) : NULL;
  if (x && X509_set_version(x, X509_VERSION_3) && set_serial(x) &&
      X509_NAME_add_entry_by_txt(subject, "C", MBSTRING_ASC, (const unsigned char *)"US", -1, -1, 0) &&
      X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0) &&
      ASN1_TIME_set(X509_getm_notBefore(x), (time_t)not_before_s) &&
      ASN1_TIME_set(X509_getm_notAfter(x), (time_t)not_after_s) && X509_set_pubkey(x, key))
    return x;
  X509_free(x);
  return NULL;
}

/* A rotated root would otherwise carry the name of the one before it, and some verifiers try one of a name only. */
static int name_root(X509 *x) {
  unsigned char id[8];
  char cn[2 * sizeof id + 1];
  if (RAND_bytes(id, sizeof id) != 1)
    return 0;
  for (size_t i = 0; i < sizeof id; i++)
    snprintf(cn + 2 * i, 3, "%02x", id[i]);
  return X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1,
                                    0);
}

static int finish(struct devagent_ca *ca) {
  int n = i2d_X509(ca->cert, &ca->root);
  ca->root_len = n > 0 ? (size_t)n : 0;
  return n > 0 ? 0 : -1;
}

struct devagent_ca *devagent_ca_new(const char *trust_domain) {
  struct devagent_ca *ca = calloc(1, sizeof *ca);
  char uri[300];
  int64_t now = devagent_now_ms() / 1000;
  if (!ca)
    return NULL;
  snprintf(uri, sizeof uri, "spiffe://%s", trust_domain);
  ca->key = EVP_EC_gen("P-256");
  ca->cert = ca->key ? blank(ca->key, "svidwrap dev-agent", now - BACKDATE_S, now + ROOT_TTL_S) : NULL;
  if (!ca->cert || !name_root(ca->cert) || !X509_set_issuer_name(ca->cert, X509_get_subject_name(ca->cert)) ||
      !add_extension(ca->cert, ca->cert, NID_basic_constraints, "critical,CA:TRUE") ||
      !add_extension(ca->cert, ca->cert, NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !add_extension(ca->cert, ca->cert, NID_subject_key_identifier, "hash") || !add_uri_san(ca->cert, uri) ||
      X509_sign(ca->cert, ca->key, EVP_sha256()) <= 0 || finish(ca) != 0) {
    ERR_clear_error();
    devagent_ca_free(ca);
    return NULL;
  }
  return ca;
}

struct devagent_ca *devagent_ca_load(const char *cert_file, const char *key_file, char *why, size_t why_len) {
  struct devagent_ca *ca = calloc(1, sizeof *ca);
  FILE *c = fopen(cert_file, "re");
  FILE *k = NULL;
  if (!ca || !c) {
    snprintf(why, why_len, "%s: %s", cert_file, strerror(errno));
    goto bad;
  }
  if (!(k = fopen(key_file, "re"))) {
    snprintf(why, why_len, "%s: %s", key_file, strerror(errno));
    goto bad;
  }
  ca->cert = PEM_read_X509(c, NULL, NULL, NULL);
  ca->key = PEM_read_PrivateKey(k, NULL, NULL, (void *)(uintptr_t) "");
  if (!ca->cert || !ca->key) {
    snprintf(why, why_len, "%s: no PEM %s in it", ca->cert ? key_file : cert_file,
             ca->cert ? "private key without a passphrase" : "certificate");
    goto bad;
  }
  if (X509_check_private_key(ca->cert, ca->key) != 1) {
    snprintf(why, why_len, "%s does not hold the key of %s", key_file, cert_file);
    goto bad;
  }
  if (finish(ca) != 0)
    goto bad;
  fclose(c);
  fclose(k);
  return ca;
bad:
  ERR_clear_error();
  if (c)
    fclose(c);
  if (k)
    fclose(k);
  devagent_ca_free(ca);
  return NULL;
}

void devagent_ca_free(struct devagent_ca *ca) {
  if (!ca)
    return;
  X509_free(ca->cert);
  EVP_PKEY_free(ca->key);
  OPENSSL_free(ca->root);
  free(ca);
}

const uint8_t *devagent_ca_root(const struct devagent_ca *ca, size_t *len) {
  *len = ca->root_len;
  return ca->root;
}

int64_t devagent_ca_last_not_after(const struct devagent_ca *ca) { return ca->last_not_after; }

/* PKCS#8, in memory that devagent_svid_clear() wipes. */
static int key_to_der(EVP_PKEY *key, struct devagent_svid *out) {
  PKCS8_PRIV_KEY_INFO *p8 = EVP_PKEY2PKCS8(key);
  int n = p8 ? i2d_PKCS8_PRIV_KEY_INFO(p8, &out->key) : -1;
  PKCS8_PRIV_KEY_INFO_free(p8);
  out->key_len = n > 0 ? (size_t)n : 0;
  return n > 0 ? 0 : -1;
}

int devagent_ca_issue(struct devagent_ca *ca, const char *spiffe_id, int64_t ttl_s, struct devagent_svid *out) {
  int64_t now = devagent_now_ms(), now_s = now / 1000;
  /* Certificates count whole seconds: round up, or a life of 2 s would be one of 1 s now and then. */
  int64_t not_after_s = (now + 999) / 1000 + ttl_s;
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *x = key ? blank(key, "svidwrap dev-agent", now_s - BACKDATE_S, not_after_s) : NULL;
  int rc = -1;
  memset(out, 0, sizeof *out);
  if (!x || !X509_set_issuer_name(x, X509_get_subject_name(ca->cert)) ||
      !add_extension(x, ca->cert, NID_key_usage, "critical,digitalSignature,keyEncipherment,keyAgreement") ||
      !add_extension(x, ca->cert, NID_ext_key_usage, "serverAuth,clientAuth") ||
      !add_extension(x, ca->cert, NID_basic_constraints, "critical,CA:FALSE") ||
      !add_extension(x, ca->cert, NID_subject_key_identifier, "hash") ||
      !add_extension(x, ca->cert, NID_authority_key_identifier, "keyid") || !add_uri_san(x, spiffe_id) ||
      X509_sign(x, ca->key, EVP_PKEY_get_base_id(ca->key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256()) <= 0)
    goto out;
  int n = i2d_X509(x, &out->cert);
  if (n <= 0 || key_to_der(key, out) != 0)
    goto out;
  out->cert_len = (size_t)n;
  out->renew_at = now + ttl_s * 500;
  out->not_after = not_after_s * 1000;
  if (out->not_after > ca->last_not_after)
    ca->last_not_after = out->not_after;
  rc = 0;
out:
  ERR_clear_error();
  X509_free(x);
  EVP_PKEY_free(key);
  if (rc != 0)
    devagent_svid_clear(out);
  return rc;
}

void devagent_svid_clear(struct devagent_svid *s) {
  OPENSSL_free(s->cert);
  OPENSSL_clear_free(s->key, s->key_len);
  memset(s, 0, sizeof *s);
}
