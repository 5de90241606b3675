/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify.c - is this peer who its certificate says? (X509-SVID.md section 5, RFC 5280 section 6)
 *
 * The leaf's rules first, then the path to the roots of the trust domain that the leaf itself names. There is no
 * way to say "any domain's roots", and no answer but yes or a reason.
 */
#include "internal.h"

#include <string.h>

/* Hardly anybody has more intermediates. */
#define DECODED_CHAIN 3

static const struct identity_domain *domain_of(const struct identity *id, const struct spiffeid *peer) {
  const char *name = peer->text + sizeof "spiffe://" - 1;
  for (size_t i = 0; i < id->domain_count; i++) {
    const struct identity_domain *d = &id->domains[i];
    if (strlen(d->name) == peer->domain_len && memcmp(d->name, name, peer->domain_len) == 0)
      return d;
  }
  return NULL;
}

int identity_verify_peer(const struct identity *id, X509 *leaf, STACK_OF(X509) * chain, time_t now,
                         struct spiffeid *peer, int *alert, char *why, size_t why_len) {
  struct identity_span span;
  return identity_verify_peer_span(id, leaf, chain, now, peer, &span, alert, why, why_len);
}

int identity_verify_peer_span(const struct identity *id, X509 *leaf, STACK_OF(X509) * chain, time_t now,
                              struct spiffeid *peer, struct identity_span *span, int *alert, char *why,
                              size_t why_len) {
  struct identity_cache_key key;
  if (identity_leaf_rules(leaf, peer, alert, why, why_len) != 0)
    return -1;
  *alert = SSL_AD_UNKNOWN_CA;
  const struct identity_domain *d = domain_of(id, peer);
  if (!d)
    return identity_refuse(why, why_len, "no trust bundle for trust domain %.*s", (int)peer->domain_len,
                           peer->text + sizeof "spiffe://" - 1);
  if (sk_X509_num(d->roots) == 0)
    return identity_refuse(why, why_len, "the trust bundle of trust domain %s is empty", d->name);

  if (now == 0)
    now = time(NULL);
  bool cacheable = identity_cache_key(&key, d, leaf, chain) == 0;
  if (cacheable && identity_cache_has(id->cache, &key, now, span))
    return 0;
  if (identity_path_verify(d, id->crls, leaf, chain, peer, now, span, alert, why, why_len) != 0)
    return -1;
  if (cacheable)
    identity_cache_add(id->cache, &key, span);
  identity_decoded_add(leaf);
  for (int i = 0; i < sk_X509_num(chain) && i < DECODED_CHAIN; i++)
    identity_decoded_add(sk_X509_value(chain, i));
  return 0;
}
