/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support_pki.c - see support_pki.h. Certificates are made field by field, so that a test can break exactly one.
 */
#include "support_pki.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(x)                                                                                                      \
  do {                                                                                                               \
    if (!(x)) {                                                                                                      \
      fprintf(stderr, "support_pki: %s failed\n", #x);                                                               \
      ERR_print_errors_fp(stderr);                                                                                   \
      abort();                                                                                                       \
    }                                                                                                                \
  } while (0)

static EVP_PKEY *make_key(enum pki_key kind) {
  EVP_PKEY *key = NULL;
  switch (kind) {
  case PKI_P256:
    key = EVP_EC_gen("P-256");
    break;
  case PKI_P384:
    key = EVP_EC_gen("P-384");
    break;
  case PKI_RSA2048:
    key = EVP_RSA_gen(2048);
    break;
  case PKI_RSA1024:
    key = EVP_RSA_gen(1024);
    break;
  case PKI_RSA3072:
    key = EVP_RSA_gen(3072);
    break;
  case PKI_RSA4096:
    key = EVP_RSA_gen(4096);
    break;
  case PKI_ED25519:
    key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    break;
  }
  MUST(key);
  return key;
}

/* ---- pieces of a certificate ------------------------------------------------------------------------------ */

static void add_conf(X509 *cert, X509 *issuer, int nid, const char *value) {
  X509V3_CTX ctx;
  if (!value || !*value)
    return;
  X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
  X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
  MUST(ext);
  MUST(X509_add_ext(cert, ext, -1));
  X509_EXTENSION_free(ext);
}

static void push_name(GENERAL_NAMES *names, int type, const char *text, size_t len) {
  GENERAL_NAME *name = GENERAL_NAME_new();
  ASN1_IA5STRING *s = ASN1_IA5STRING_new();
  MUST(name && s && ASN1_STRING_set(s, text, (int)len));
  GENERAL_NAME_set0_value(name, type, s);
  MUST(sk_GENERAL_NAME_push(names, name));
}

static void add_names(X509 *cert, const char *uri, size_t uri_len, const char *second, const char *dns) {
  GENERAL_NAMES *names = GENERAL_NAMES_new();
  MUST(names);
  if (dns)
    push_name(names, GEN_DNS, dns, strlen(dns));
  if (uri_len)
    push_name(names, GEN_URI, uri, uri_len);
  if (second)
    push_name(names, GEN_URI, second, strlen(second));
  if (sk_GENERAL_NAME_num(names) > 0)
    MUST(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_APPEND));
  GENERAL_NAMES_free(names);
}

static void add_unknown_critical(X509 *cert, const char *oid) {
  ASN1_OBJECT *obj = OBJ_txt2obj(oid, 1);
  ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
  MUST(obj && value && ASN1_OCTET_STRING_set(value, (const unsigned char *)"\x05", 1));
  X509_EXTENSION *ext = X509_EXTENSION_create_by_OBJ(NULL, obj, 1, value);
  MUST(ext && X509_add_ext(cert, ext, -1));
  X509_EXTENSION_free(ext);
  ASN1_OCTET_STRING_free(value);
  ASN1_OBJECT_free(obj);
}

static void set_validity(X509 *cert, struct pki_validity v) {
  if (v.from == 0 && v.until == 0)
    v = (struct pki_validity){-60, 3600};
  MUST(X509_gmtime_adj(X509_getm_notBefore(cert), v.from));
  MUST(X509_gmtime_adj(X509_getm_notAfter(cert), v.until));
}

static X509 *blank(EVP_PKEY *key, const char *organization, const char *common_name, struct pki_validity valid) {
  X509 *cert = X509_new();
  BIGNUM *serial = BN_new();
  MUST(cert && serial && BN_rand(serial, 120, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY));
  MUST(X509_set_version(cert, X509_VERSION_3));
  MUST(BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert)));
  BN_free(serial);
  MUST(X509_set_pubkey(cert, key));
  X509_NAME *name = X509_get_subject_name(cert);
  MUST(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const unsigned char *)organization, -1, -1, 0));
  if (common_name)
    MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)common_name, -1, -1, 0));
  set_validity(cert, valid);
  return cert;
}

static void sign(X509 *cert, EVP_PKEY *by, bool sha1) {
  const EVP_MD *md = EVP_PKEY_is_a(by, "ED25519") ? NULL : sha1 ? EVP_sha1() : EVP_sha256();
  MUST(X509_sign(cert, by, md) > 0);
}

/* ---- authorities ---------------------------------------------------------------------------------------------- */

static X509 *ca_certificate(const char *domain, EVP_PKEY *key, const struct pki_ca_spec *spec,
                            const struct pki_ca *parent) {
  char uri[300];
  X509 *cert = blank(key, "SPIFFE", spec->name, spec->valid), *issuer = parent ? parent->cert : cert;
  snprintf(uri, sizeof uri, "spiffe://%s", domain);
  const char *name = spec->uri ? spec->uri : uri;
  MUST(X509_set_issuer_name(cert, X509_get_subject_name(issuer)));
  add_conf(cert, issuer, NID_basic_constraints, spec->basic ? spec->basic : "critical,CA:TRUE");
  add_conf(cert, issuer, NID_key_usage, spec->usage ? spec->usage : "critical,keyCertSign,cRLSign");
  add_conf(cert, issuer, NID_name_constraints, spec->constraints);
  add_names(cert, name, strlen(name), NULL, NULL);
  if (!spec->no_key_ids) {
    add_conf(cert, issuer, NID_subject_key_identifier, "hash");
    if (!parent || X509_get0_subject_key_id(issuer))
      add_conf(cert, issuer, NID_authority_key_identifier, "keyid");
  }
  sign(cert, parent ? parent->key : key, spec->sha1);
  return cert;
}

struct pki_ca *pki_ca_under(const struct pki_ca *parent, const char *domain, const struct pki_ca_spec *spec) {
  struct pki_ca *ca = calloc(1, sizeof *ca);
  MUST(ca && strlen(domain) < sizeof ca->domain);
  strcpy(ca->domain, domain);
  ca->key = make_key(spec->key);
  ca->parent = parent;
  ca->cert = ca_certificate(domain, ca->key, spec, parent);
  return ca;
}

struct pki_ca *pki_ca_make(const char *domain, const struct pki_ca_spec *spec) {
  return pki_ca_under(NULL, domain, spec);
}

struct pki_ca *pki_ca_new(const char *domain) {
  return pki_ca_make(domain, &(struct pki_ca_spec){0});
}

X509 *pki_cross_sign(const struct pki_ca *ca, const struct pki_ca *by) {
  X509 *cert = X509_dup(ca->cert);
  MUST(cert && X509_set_issuer_name(cert, X509_get_subject_name(by->cert)));
  int at = X509_get_ext_by_NID(cert, NID_authority_key_identifier, -1);
  if (at >= 0)
    X509_EXTENSION_free(X509_delete_ext(cert, at));
  if (X509_get0_subject_key_id(by->cert))
    add_conf(cert, by->cert, NID_authority_key_identifier, "keyid");
  sign(cert, by->key, false);
  return cert;
}

void pki_ca_free(struct pki_ca *ca) {
  if (!ca)
    return;
  X509_free(ca->cert);
  EVP_PKEY_free(ca->key);
  free(ca);
}

/* ---- leaves ------------------------------------------------------------------------------------------------------
 */

static X509 *leaf_certificate(const struct pki_ca *ca, EVP_PKEY *key, const struct pki_leaf *leaf, const char *id) {
  X509 *cert = blank(key, leaf->subject ? leaf->subject : "SPIRE", NULL, leaf->valid),
       *issuer = leaf->self_signed ? cert : ca->cert;
  size_t id_len = leaf->id_len ? leaf->id_len : strlen(id);
  MUST(X509_set_issuer_name(cert, X509_get_subject_name(issuer)));
  add_conf(cert, issuer, NID_basic_constraints, leaf->basic ? leaf->basic : "critical,CA:FALSE");
  add_conf(cert, issuer, NID_key_usage, leaf->usage ? leaf->usage : "critical,digitalSignature");
  add_conf(cert, issuer, NID_ext_key_usage, leaf->purposes ? leaf->purposes : "serverAuth,clientAuth");
  add_names(cert, id, id_len, leaf->second, leaf->dns);
  if (leaf->san_twice)
    add_names(cert, id, id_len, NULL, NULL);
  if (leaf->extra_oid)
    add_unknown_critical(cert, leaf->extra_oid);
  if (!leaf->self_signed && X509_get0_subject_key_id(ca->cert))
    add_conf(cert, issuer, NID_authority_key_identifier, "keyid");
  sign(cert, leaf->self_signed ? key : ca->key, leaf->sha1);
  return cert;
}

struct pki_svid *pki_issue(const struct pki_ca *ca, const struct pki_leaf *leaf) {
  struct pki_svid *svid = calloc(1, sizeof *svid);
  MUST(svid);
  if (leaf->id)
    snprintf(svid->id, sizeof svid->id, "%s", leaf->id);
  else
    snprintf(svid->id, sizeof svid->id, "spiffe://%s/web", ca->domain);
  svid->key = make_key(leaf->key);
  svid->cert = leaf_certificate(ca, svid->key, leaf, leaf->id ? leaf->id : svid->id);
  svid->chain = sk_X509_new_null();
  for (const struct pki_ca *up = ca; up->parent; up = up->parent) {
    MUST(X509_up_ref(up->cert) && sk_X509_push(svid->chain, up->cert));
  }
  return svid;
}

void pki_svid_free(struct pki_svid *svid) {
  if (!svid)
    return;
  X509_free(svid->cert);
  EVP_PKEY_free(svid->key);
  sk_X509_pop_free(svid->chain, X509_free);
  free(svid);
}

EVP_PKEY *pki_key_pretend(EVP_PKEY *victim) {
  unsigned char *public = NULL;
  EVP_PKEY *own = make_key(PKI_P256), *key = NULL;
  BIGNUM *private = NULL;
  size_t len = EVP_PKEY_get1_encoded_public_key(victim, &public);
  MUST(len && EVP_PKEY_get_bn_param(own, OSSL_PKEY_PARAM_PRIV_KEY, &private));
  OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
  MUST(build && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0));
  MUST(OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, public, len));
  MUST(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, private));
  OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
  EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
  MUST(ctx && EVP_PKEY_fromdata_init(ctx) == 1 && EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) == 1);
  EVP_PKEY_CTX_free(ctx);
  OSSL_PARAM_free(params);
  OSSL_PARAM_BLD_free(build);
  BN_free(private);
  OPENSSL_free(public);
  EVP_PKEY_free(own);
  return key;
}

X509_CRL *pki_crl(const struct pki_ca *ca, X509 *cert, struct pki_validity valid) {
  X509_CRL *crl = X509_CRL_new();
  ASN1_TIME *from = ASN1_TIME_new(), *until = ASN1_TIME_new();
  if (valid.from == 0 && valid.until == 0)
    valid = (struct pki_validity){-60, 3600};
  MUST(crl && from && until && X509_gmtime_adj(from, valid.from) && X509_gmtime_adj(until, valid.until));
  MUST(X509_CRL_set_version(crl, X509_CRL_VERSION_2));
  MUST(X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->cert)));
  MUST(X509_CRL_set1_lastUpdate(crl, from) && X509_CRL_set1_nextUpdate(crl, until));
  if (cert) {
    X509_REVOKED *entry = X509_REVOKED_new();
    MUST(entry && X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(cert)));
    MUST(X509_REVOKED_set_revocationDate(entry, from) && X509_CRL_add0_revoked(crl, entry));
  }
  MUST(X509_CRL_sign(crl, ca->key, EVP_PKEY_is_a(ca->key, "ED25519") ? NULL : EVP_sha256()) > 0);
  ASN1_TIME_free(from);
  ASN1_TIME_free(until);
  return crl;
}

/* ---- replies of the Workload API ----------------------------------------------------------------------------- */

static void append(struct identity_bytes *to, const unsigned char *der, int len) {
  MUST(len > 0);
  uint8_t *grown = realloc((void *)(uintptr_t)to->data, to->len + (size_t)len);
  MUST(grown);
  memcpy(grown + to->len, der, (size_t)len);
  to->data = grown;
  to->len += (size_t)len;
}

static void append_cert(struct identity_bytes *to, X509 *cert) {
  unsigned char *der = NULL;
  int len = i2d_X509(cert, &der);
  append(to, der, len);
  OPENSSL_free(der);
}

struct identity_bytes pki_der(X509 *first, STACK_OF(X509) * rest) {
  struct identity_bytes all = {NULL, 0};
  append_cert(&all, first);
  for (int i = 0; i < sk_X509_num(rest); i++)
    append_cert(&all, sk_X509_value(rest, i));
  return all;
}

struct identity_bytes pki_der_key(EVP_PKEY *key) {
  struct identity_bytes all = {NULL, 0};
  unsigned char *der = NULL;
  PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
  MUST(info);
  int len = i2d_PKCS8_PRIV_KEY_INFO(info, &der);
  append(&all, der, len);
  PKCS8_PRIV_KEY_INFO_free(info);
  OPENSSL_free(der);
  return all;
}

struct identity_bytes pki_der_crl(X509_CRL *crl) {
  struct identity_bytes all = {NULL, 0};
  unsigned char *der = NULL;
  int len = i2d_X509_CRL(crl, &der);
  append(&all, der, len);
  OPENSSL_free(der);
  return all;
}

static struct identity_bytes bundle_of(const char *domain, struct pki_ca *const *trusted) {
  struct identity_bytes all = {NULL, 0};
  for (; *trusted; trusted++)
    if (strcmp((*trusted)->domain, domain) == 0)
      append_cert(&all, (*trusted)->cert);
  return all;
}

static bool seen_before(struct pki_ca *const *trusted, size_t i) {
  for (size_t j = 0; j < i; j++)
    if (strcmp(trusted[j]->domain, trusted[i]->domain) == 0)
      return true;
  return false;
}

struct identity *pki_identity_crl(const struct pki_svid *svid, struct pki_ca *const *trusted, X509_CRL *crl) {
  struct identity_raw_bundle federated[16];
  struct identity_raw_svid raw = {.spiffe_id = svid->id, .hint = ""};
  struct identity_bytes list = {NULL, 0};
  char own[256] = "", why[256] = "";
  size_t n = 0;
  MUST(strncmp(svid->id, "spiffe://", 9) == 0);
  snprintf(own, sizeof own, "%.*s", (int)strcspn(svid->id + 9, "/"), svid->id + 9);
  raw.svid = pki_der(svid->cert, svid->chain);
  raw.key = pki_der_key(svid->key);
  raw.bundle = bundle_of(own, trusted);
  for (size_t i = 0; trusted[i]; i++) {
    if (strcmp(trusted[i]->domain, own) == 0 || seen_before(trusted, i))
      continue;
    MUST(n < 16);
    federated[n++] = (struct identity_raw_bundle){trusted[i]->domain, bundle_of(trusted[i]->domain, trusted)};
  }
  if (crl)
    list = pki_der_crl(crl);
  struct identity_raw reply = {&raw, 1, federated, n, &list, crl ? 1 : 0};
  struct identity *id = identity_build(&reply, why, sizeof why);
  if (!id)
    fprintf(stderr, "support_pki: identity_build: %s\n", why);
  MUST(id);
  free((void *)(uintptr_t)raw.svid.data);
  OPENSSL_cleanse((void *)(uintptr_t)raw.key.data, raw.key.len);
  free((void *)(uintptr_t)raw.key.data);
  free((void *)(uintptr_t)raw.bundle.data);
  for (size_t i = 0; i < n; i++)
    free((void *)(uintptr_t)federated[i].bundle.data);
  free((void *)(uintptr_t)list.data);
  return id;
}

struct identity *pki_identity(const struct pki_svid *svid, struct pki_ca *const *trusted) {
  return pki_identity_crl(svid, trusted, NULL);
}

SSL_CTX *pki_peer_context(const struct pki_svid *svid, const struct pki_ca *ca, bool server) {
  SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
  MUST(ctx);
  SSL_CTX_set_security_level(ctx, 0);
  if (svid)
    MUST(SSL_CTX_use_cert_and_key(ctx, svid->cert, svid->key, svid->chain, 1) == 1);
  if (ca) {
    MUST(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca->cert));
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
  }
  return ctx;
}
