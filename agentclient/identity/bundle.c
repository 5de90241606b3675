/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bundle.c - the trust bundle of one trust domain, as roots in a store of its own.
 *
 * A store never holds two domains' roots: that one domain cannot vouch for another's IDs rests on it.
 */
#include "internal.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

/* leaf, intermediates, root. SPIRE nests two or three levels. */
#define PATH_DEPTH_MAX 10

static X509_STORE *store_of(STACK_OF(X509) * roots) {
  X509_STORE *store = X509_STORE_new();
  if (!store)
    return NULL;
  for (int i = 0; i < sk_X509_num(roots); i++)
    if (!X509_STORE_add_cert(store, sk_X509_value(roots, i))) {
      X509_STORE_free(store);
      return NULL;
    }
  X509_VERIFY_PARAM *param = X509_STORE_get0_param(store);
  /* Whatever the bundle holds is a trust anchor, self-signed or not (X509-SVID.md section 6.1 only says SHOULD). */
  X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
  X509_VERIFY_PARAM_set_depth(param, PATH_DEPTH_MAX);
  /* 112 bits: no SHA-1 signature in the path, no RSA key below 2048 bits. */
  X509_VERIFY_PARAM_set_auth_level(param, 2);
  return store;
}

/* Takes both spellings: the Workload API's keys are trust domain IDs, people write names. */
static int domain_name(struct identity_domain *d, const char *name, char *why, size_t why_len) {
  static const char scheme[] = "spiffe://";
  const char *bare = strncmp(name, scheme, sizeof scheme - 1) == 0 ? name + sizeof scheme - 1 : name;
  const char *detail = "";
  size_t len = strlen(bare);
  if (spiffeid_domain_valid(bare, len, &detail) != 0)
    return identity_refuse(why, why_len, "a trust bundle has no valid trust domain: %s", detail);
  memcpy(d->name, bare, len + 1);
  return 0;
}

int identity_domain_init(struct identity_domain *d, const char *name, const struct identity_bytes *bundle, char *why,
                         size_t why_len) {
  char detail[128] = "";
  memset(d, 0, sizeof *d);
  if (domain_name(d, name, why, why_len) != 0)
    return -1;
  d->roots = identity_certificates(bundle, detail, sizeof detail);
  if (!d->roots)
    return identity_refuse(why, why_len, "trust bundle of %s: %s", d->name, detail);
  d->store = store_of(d->roots);
  if (!d->store) {
    ERR_clear_error();
    identity_domain_free(d);
    return identity_refuse(why, why_len, "out of memory");
  }
  return 0;
}

void identity_domain_free(struct identity_domain *d) {
  sk_X509_pop_free(d->roots, X509_free);
  X509_STORE_free(d->store);
  d->roots = NULL;
  d->store = NULL;
}

static bool subset(STACK_OF(X509) * a, STACK_OF(X509) * b) {
  for (int i = 0; i < sk_X509_num(a); i++) {
    bool found = false;
    for (int j = 0; j < sk_X509_num(b) && !found; j++)
      found = X509_cmp(sk_X509_value(a, i), sk_X509_value(b, j)) == 0;
    if (!found)
      return false;
  }
  return true;
}

bool identity_domain_same_roots(const struct identity_domain *a, const struct identity_domain *b) {
  return subset(a->roots, b->roots) && subset(b->roots, a->roots);
}
