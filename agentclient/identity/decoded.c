/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decoded.c - certificates that were found valid, kept decoded: libssl decodes what a peer sends before anybody is
 * asked, and in OpenSSL 3.0 the public key alone takes a third of a full handshake (docs/ARCHITECTURE.md).
 *
 * The linker leads libssl's calls of d2i_X509() here (--wrap, in the Makefile). Nothing is trusted for being known:
 * the same bytes give the same object, and it is verified as if it were new. Only a peer that was found valid puts
 * its certificates in, so a stranger can neither fill nor empty the table.
 */
#include "internal.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

#define ENTRIES 256u /* some 6 KB each */

struct decoded {
  unsigned char hash[32]; /* SHA-256 of the DER */
  X509 *cert;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct decoded table[ENTRIES];

static struct decoded *slot(const unsigned char hash[32]) { return &table[hash[0] % ENTRIES]; }

void identity_decoded_add(X509 *cert) {
  unsigned char hash[32];
  X509 *old = NULL;
  if (!X509_digest(cert, EVP_sha256(), hash, NULL))
    return;
  pthread_mutex_lock(&lock);
  struct decoded *d = slot(hash);
  if (!d->cert || memcmp(d->hash, hash, sizeof hash) != 0) {
    old = d->cert;
    X509_up_ref(cert);
    d->cert = cert;
    memcpy(d->hash, hash, sizeof hash);
  }
  pthread_mutex_unlock(&lock);
  X509_free(old);
}

X509 *identity_decoded_get(const unsigned char *der, size_t len) {
  unsigned char hash[32];
  X509 *found = NULL;
  if (!EVP_Digest(der, len, hash, NULL, EVP_sha256(), NULL))
    return NULL;
  pthread_mutex_lock(&lock);
  const struct decoded *d = slot(hash);
  if (d->cert && memcmp(d->hash, hash, sizeof hash) == 0) {
    found = d->cert;
    X509_up_ref(found);
  }
  pthread_mutex_unlock(&lock);
  return found;
}

/* Absent where the linker was not told (the unit tests): there d2i_X509() is OpenSSL's own. */
X509 *__real_d2i_X509(X509 **out, const unsigned char **in, long len) __attribute__((weak));
X509 *__wrap_d2i_X509(X509 **out, const unsigned char **in, long len);

/* As d2i_X509(3). A known certificate is one that fills len to the last byte; everything else is OpenSSL's. */
X509 *__wrap_d2i_X509(X509 **out, const unsigned char **in, long len) {
  X509 *known = in && *in && len > 0 ? identity_decoded_get(*in, (size_t)len) : NULL;
  if (!known)
    return __real_d2i_X509 ? __real_d2i_X509(out, in, len) : d2i_X509(out, in, len);
  if (out) {
    X509_free(*out);
    *out = known;
  }
  *in += len;
  return known;
}
