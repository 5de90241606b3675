/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replies: protobuf to identity. Nothing is copied between the message and identity_build(), so a private
 * key is in this one place besides the EVP_PKEY, and is wiped on every path out.
 */
#include "reply.h"

#include "workload.pb-c.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The size stands before each block; two words keep what follows aligned. */
static void *wiping_alloc(void *arg, size_t size) {
  (void)arg;
  size_t *p = size <= SIZE_MAX - 2 * sizeof *p ? malloc(size + 2 * sizeof *p) : NULL;
  if (!p)
    return NULL;
  *p = size;
  return p + 2;
}

static void wiping_free(void *arg, void *data) {
  (void)arg;
  if (!data)
    return;
  size_t *p = (size_t *)data - 2;
  OPENSSL_cleanse(data, *p);
  free(p);
}

ProtobufCAllocator reply_wiping_allocator = {wiping_alloc, wiping_free, NULL};

static struct identity_bytes bytes(const ProtobufCBinaryData *b) {
  return (struct identity_bytes){.data = b->data, .len = b->len};
}

struct identity *reply_identity(const uint8_t *msg, size_t len, char *why, size_t why_len) {
  struct identity *id = NULL;
  struct identity_raw raw = {0};
  X509SVIDResponse *r = x509_svidresponse__unpack(&reply_wiping_allocator, len, msg);
  if (!r) {
    snprintf(why, why_len, "the agent's reply is not an X509SVIDResponse (%zu bytes)", len);
    return NULL;
  }
  raw.svid_count = r->n_svids;
  raw.federated_count = r->n_federated_bundles;
  raw.crl_count = r->n_crl;
  raw.svids = calloc(r->n_svids + 1, sizeof *raw.svids);
  raw.federated = calloc(r->n_federated_bundles + 1, sizeof *raw.federated);
  raw.crls = calloc(r->n_crl + 1, sizeof *raw.crls);
  if (!raw.svids || !raw.federated || !raw.crls) {
    snprintf(why, why_len, "out of memory");
    goto out;
  }
  for (size_t i = 0; i < r->n_svids; i++) {
    const X509SVID *s = r->svids[i];
    raw.svids[i] = (struct identity_raw_svid){.spiffe_id = s->spiffe_id,
                                              .hint = s->hint,
                                              .svid = bytes(&s->x509_svid),
                                              .key = bytes(&s->x509_svid_key),
                                              .bundle = bytes(&s->bundle)};
  }
  for (size_t i = 0; i < r->n_federated_bundles; i++)
    raw.federated[i] = (struct identity_raw_bundle){.trust_domain = r->federated_bundles[i]->key,
                                                    .bundle = bytes(&r->federated_bundles[i]->value)};
  for (size_t i = 0; i < r->n_crl; i++)
    raw.crls[i] = bytes(&r->crl[i]);
  id = identity_build(&raw, why, why_len);
out:
  free(raw.svids);
  free(raw.federated);
  free(raw.crls);
  x509_svidresponse__free_unpacked(r, &reply_wiping_allocator);
  return id;
}

/* Certificates to the last byte; none at all is a domain that nobody can be verified for. */
static int certificates(const ProtobufCBinaryData *b) {
  const uint8_t *p = b->data; /* NULL where there are none */
  size_t left = b->len;
  while (left > 0) {
    const uint8_t *from = p;
    X509 *x = d2i_X509(NULL, &p, (long)left);
    if (!x) {
      ERR_clear_error();
      return -1;
    }
    X509_free(x);
    left -= (size_t)(p - from);
  }
  return 0;
}

int reply_bundles(const uint8_t *msg, size_t len, reply_bundles_fn fn, void *arg, char *why, size_t why_len) {
  struct identity_raw_bundle *bundles = NULL;
  int rc = -1;
  X509BundlesResponse *r = x509_bundles_response__unpack(NULL, len, msg);
  if (!r || r->n_bundles == 0) {
    snprintf(why, why_len, "the agent's reply is not an X509BundlesResponse with a bundle (%zu bytes)", len);
    goto out;
  }
  bundles = calloc(r->n_bundles, sizeof *bundles);
  if (!bundles) {
    snprintf(why, why_len, "out of memory");
    goto out;
  }
  for (size_t i = 0; i < r->n_bundles; i++) {
    const X509BundlesResponse__BundlesEntry *e = r->bundles[i];
    const char *reason = "it is not a trust domain";
    const char *name = strncmp(e->key, "spiffe://", 9) == 0 ? e->key + 9 : e->key;
    if (spiffeid_domain_valid(name, strlen(name), &reason) != 0) {
      snprintf(why, why_len, "bundle of \"%.255s\": %s", e->key, reason);
      goto out;
    }
    if (certificates(&e->value) != 0) {
      snprintf(why, why_len, "bundle of %s: not DER certificates", name);
      goto out;
    }
    bundles[i] = (struct identity_raw_bundle){.trust_domain = e->key, .bundle = bytes(&e->value)};
  }
  fn(arg, bundles, r->n_bundles);
  rc = 0;
out:
  free(bundles);
  if (r)
    x509_bundles_response__free_unpacked(r, NULL);
  return rc;
}
