/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity.c - builds an identity from one complete reply of the agent: all of it or nothing.
 *
 * Immutable once built. Private keys live in EVP_PKEY objects only and are wiped with the last reference.
 */
#include "internal.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

static _Atomic uint64_t generations;

static void svid_free(struct identity_svid *s) {
  SSL_CTX_free(s->server);
  SSL_CTX_free(s->client);
  X509_free(s->leaf);
  sk_X509_pop_free(s->chain, X509_free);
  EVP_PKEY_free(s->key); /* OpenSSL wipes the numbers of a private key */
}

static void identity_free(struct identity *id) {
  for (size_t i = 0; i < id->svid_count; i++)
    svid_free(&id->svids[i]);
  for (size_t i = 0; i < id->domain_count; i++)
    identity_domain_free(&id->domains[i]);
  sk_X509_CRL_pop_free(id->crls, X509_CRL_free);
  identity_cache_free(id->cache);
  ticket_key_free(id->ticket_key);
  purse_free(id->purse);
  free(id->svids);
  free(id->domains);
  free(id);
}

/* ---- one SVID ------------------------------------------------------------------------------------------- */

static int svid_certificates(struct identity_svid *s, const struct identity_raw_svid *raw, char *why,
                             size_t why_len) {
  struct spiffeid said;
  const char *detail = "";
  if (spiffeid_parse(&said, raw->spiffe_id ? raw->spiffe_id : "", raw->spiffe_id ? strlen(raw->spiffe_id) : 0, 1,
                     &detail) != 0)
    return identity_refuse(why, why_len, "its spiffe_id is not a valid SPIFFE ID: %s", detail);
  s->chain = identity_certificates(&raw->svid, why, why_len);
  if (!s->chain)
    return -1;
  s->leaf = sk_X509_shift(s->chain);
  if (!s->leaf)
    return identity_refuse(why, why_len, "it has no certificate");
  if (identity_check_leaf(s->leaf, &s->id, why, why_len) != 0)
    return -1;
  if (s->id.len != said.len || memcmp(s->id.text, said.text, said.len) != 0)
    return identity_refuse(why, why_len, "the reply calls it %.90s, its certificate %.90s", said.text, s->id.text);
  for (int i = 0; i < sk_X509_num(s->chain); i++)
    if (identity_signer_rules(sk_X509_value(s->chain, i), &s->id, false, why, why_len) != 0)
      return -1;
  s->not_before = identity_time(X509_get0_notBefore(s->leaf));
  s->not_after = identity_time(X509_get0_notAfter(s->leaf));
  if (s->not_before == -1 || s->not_after == -1)
    return identity_refuse(why, why_len, "its validity cannot be read");
  return 0;
}

static int svid_key(struct identity_svid *s, const struct identity_raw_svid *raw, char *why, size_t why_len) {
  s->key = identity_private_key(&raw->key, why, why_len);
  if (!s->key)
    return -1;
  int matches = X509_check_private_key(s->leaf, s->key);
  ERR_clear_error();
  return matches == 1 ? 0 : identity_refuse(why, why_len, "the private key does not belong to the certificate");
}

static int svid_build(struct identity_svid *s, const struct identity_raw_svid *raw, char *why, size_t why_len) {
  const char *hint = raw->hint ? raw->hint : "";
  if (strlen(hint) >= sizeof s->hint)
    return identity_refuse(why, why_len, "its hint is longer than %zu bytes", sizeof s->hint - 1);
  memcpy(s->hint, hint, strlen(hint) + 1);
  return svid_certificates(s, raw, why, why_len) == 0 ? svid_key(s, raw, why, why_len) : -1;
}

static int svid_contexts(struct identity *id, struct identity_svid *s, char *why, size_t why_len) {
  s->server = identity_context_new(id, s, true, why, why_len);
  s->client = s->server ? identity_context_new(id, s, false, why, why_len) : NULL;
  return s->client ? 0 : -1;
}

/* ---- trust bundles ---------------------------------------------------------------------------------------- */

/* The same domain may come twice (several SVIDs of one domain do), but only with the same roots. */
static int add_domain(struct identity *id, const char *name, const struct identity_bytes *bundle, char *why,
                      size_t why_len) {
  struct identity_domain *d = &id->domains[id->domain_count];
  if (identity_domain_init(d, name, bundle, why, why_len) != 0)
    return -1;
  for (size_t i = 0; i < id->domain_count; i++) {
    if (strcmp(id->domains[i].name, d->name) != 0)
      continue;
    bool same = identity_domain_same_roots(&id->domains[i], d);
    identity_domain_free(d);
    return same ? 0 : identity_refuse(why, why_len, "two different trust bundles for trust domain %s", d->name);
  }
  id->domain_count++;
  return 0;
}

static int add_own_domain(struct identity *id, const struct identity_svid *s, const struct identity_raw_svid *raw,
                          char *why, size_t why_len) {
  char name[SPIFFEID_DOMAIN_MAX + 1];
  memcpy(name, s->id.text + sizeof "spiffe://" - 1, s->id.domain_len);
  name[s->id.domain_len] = '\0';
  return add_domain(id, name, &raw->bundle, why, why_len);
}

static int add_crls(struct identity *id, const struct identity_raw *raw, char *why, size_t why_len) {
  for (size_t i = 0; i < raw->crl_count; i++) {
    X509_CRL *crl = identity_crl(&raw->crls[i], why, why_len);
    if (!crl)
      return -1;
    if (!sk_X509_CRL_push(id->crls, crl)) {
      X509_CRL_free(crl);
      return identity_refuse(why, why_len, "out of memory");
    }
  }
  return 0;
}

/* ---- the whole --------------------------------------------------------------------------------------------- */

static struct identity *identity_alloc(const struct identity_raw *raw) {
  struct identity *id = calloc(1, sizeof *id);
  if (!id)
    return NULL;
  atomic_init(&id->refs, 1);
  id->svids = calloc(raw->svid_count, sizeof *id->svids);
  id->domains = calloc(raw->svid_count + raw->federated_count, sizeof *id->domains);
  id->crls = sk_X509_CRL_new_null();
  id->cache = identity_cache_new();
  id->ticket_key = ticket_key_new();
  id->purse = purse_new();
  if (id->svids && id->domains && id->crls && id->cache && id->ticket_key && id->purse)
    return id;
  identity_free(id);
  return NULL;
}

static int fill(struct identity *id, const struct identity_raw *raw, char *why, size_t why_len) {
  char detail[256] = "";
  for (size_t i = 0; i < raw->svid_count; i++) {
    id->svid_count = i + 1; /* half-built ones are freed too */
    if (svid_build(&id->svids[i], &raw->svids[i], detail, sizeof detail) != 0)
      return identity_refuse(why, why_len, "SVID %zu: %s", i + 1, detail);
    if (add_own_domain(id, &id->svids[i], &raw->svids[i], why, why_len) != 0)
      return -1;
  }
  for (size_t i = 0; i < raw->federated_count; i++) {
    const struct identity_raw_bundle *b = &raw->federated[i];
    if (add_domain(id, b->trust_domain ? b->trust_domain : "", &b->bundle, why, why_len) != 0)
      return -1;
  }
  if (add_crls(id, raw, why, why_len) != 0)
    return -1;
  for (size_t i = 0; i < id->svid_count; i++) /* last: they cost the most */
    if (svid_contexts(id, &id->svids[i], detail, sizeof detail) != 0)
      return identity_refuse(why, why_len, "SVID %zu: %s", i + 1, detail);
  return 0;
}

struct identity *identity_build(const struct identity_raw *raw, char *why, size_t why_len) {
  if (raw->svid_count == 0) {
    identity_refuse(why, why_len, "the reply has no SVID");
    return NULL;
  }
  struct identity *id = identity_alloc(raw);
  if (!id) {
    identity_refuse(why, why_len, "out of memory");
    return NULL;
  }
  if (fill(id, raw, why, why_len) != 0) {
    identity_free(id);
    return NULL;
  }
  id->generation = atomic_fetch_add(&generations, 1) + 1;
  return id;
}

struct identity *identity_ref(struct identity *id) {
  atomic_fetch_add_explicit(&id->refs, 1, memory_order_relaxed);
  return id;
}

void identity_unref(struct identity *id) {
  if (id && atomic_fetch_sub_explicit(&id->refs, 1, memory_order_acq_rel) == 1)
    identity_free(id);
}

uint64_t identity_generation(const struct identity *id) { return id->generation; }
size_t identity_svid_count(const struct identity *id) { return id->svid_count; }
size_t identity_domain_count(const struct identity *id) { return id->domain_count; }

const struct identity_svid *identity_svid_at(const struct identity *id, size_t i) {
  return i < id->svid_count ? &id->svids[i] : NULL;
}

const char *identity_domain_at(const struct identity *id, size_t i) {
  return i < id->domain_count ? id->domains[i].name : NULL;
}

const struct identity_svid *identity_select(const struct identity *id, const char *spiffe_id, const char *hint) {
  for (size_t i = 0; i < id->svid_count; i++) {
    const struct identity_svid *s = &id->svids[i];
    if ((!spiffe_id || strcmp(s->id.text, spiffe_id) == 0) && (!hint || strcmp(s->hint, hint) == 0))
      return s;
  }
  return NULL;
}
