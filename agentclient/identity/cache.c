/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache.c - remembers which certificate paths were found valid, so that a peer that connects often costs its
 * signatures once.
 *
 * Only success is remembered, for one generation of one identity, and no longer than every certificate of the
 * path is valid. The rules of the leaf are not cached: they are cheap and run every time.
 */
#include "internal.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Direct-mapped and fixed in size: a stranger cannot make it grow, and can evict nothing without a valid path. */
#define ENTRIES 128

struct entry {
  struct identity_cache_key key;
  struct identity_span span; /* until 0: empty */
};

struct identity_cache {
  pthread_mutex_t lock;
  struct entry entry[ENTRIES];
};

struct identity_cache *identity_cache_new(void) {
  struct identity_cache *c = calloc(1, sizeof *c);
  if (c)
    pthread_mutex_init(&c->lock, NULL);
  return c;
}

void identity_cache_free(struct identity_cache *c) {
  if (!c)
    return;
  pthread_mutex_destroy(&c->lock);
  free(c);
}

/* The hash of a certificate is over all of it, its signature included; hashes are of one length, so their
 * sequence is unambiguous. */
static int add_certificate(EVP_MD_CTX *md, X509 *cert) {
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned n = 0;
  return X509_digest(cert, EVP_sha256(), hash, &n) && EVP_DigestUpdate(md, hash, n);
}

int identity_cache_key(struct identity_cache_key *key, const struct identity_domain *d, X509 *leaf,
                       STACK_OF(X509) * chain) {
  EVP_MD_CTX *md = EVP_MD_CTX_new();
  int ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) && EVP_DigestUpdate(md, d->name, strlen(d->name) + 1) &&
           add_certificate(md, leaf);
  for (int i = 0; ok && i < sk_X509_num(chain); i++)
    ok = add_certificate(md, sk_X509_value(chain, i));
  ok = ok && EVP_DigestFinal_ex(md, key->hash, NULL);
  EVP_MD_CTX_free(md);
  return ok ? 0 : -1;
}

static struct entry *slot(struct identity_cache *c, const struct identity_cache_key *key) {
  return &c->entry[key->hash[0] % ENTRIES];
}

bool identity_cache_has(struct identity_cache *c, const struct identity_cache_key *key, time_t now,
                        struct identity_span *span) {
  pthread_mutex_lock(&c->lock);
  const struct entry *e = slot(c, key);
  bool has = e->span.until && now >= e->span.from && now < e->span.until && memcmp(&e->key, key, sizeof *key) == 0;
  if (has)
    *span = e->span;
  pthread_mutex_unlock(&c->lock);
  return has;
}

void identity_cache_add(struct identity_cache *c, const struct identity_cache_key *key,
                        const struct identity_span *span) {
  if (span->until <= 0 || span->until < span->from)
    return;
  pthread_mutex_lock(&c->lock);
  *slot(c, key) = (struct entry){.key = *key, .span = *span};
  pthread_mutex_unlock(&c->lock);
}
