/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries, SVIDs, roots. An entry has one SVID that all its callers share, as with a SPIRE agent; it is
 * made when first asked for and dropped at half its life, so nothing is signed for nobody.
 */
#include "issuer.h"

#include "../identity/spiffeid.h"
#include "workload.pb-c.h"

#include <openssl/crypto.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACTIVATE_MS 1000 /* between a new root's joining the bundle and its first signature */
#define RETIRED_MAX 16

struct devagent_issuer {
  struct devagent_config *config;
  struct devagent_svid *svids; /* one for each entry; empty until asked for */
  struct devagent_ca *signer;
  struct devagent_ca *next; /* in the bundle already, signs from activate_at on */
  int64_t activate_at;
  struct devagent_ca *retired[RETIRED_MAX]; /* in the bundle still */
  size_t retired_count;
};

static struct devagent_ca *make_ca(const struct devagent_config *c, char *why, size_t why_len) {
  if (c->ca_cert)
    return devagent_ca_load(c->ca_cert, c->ca_key, why, why_len);
  struct devagent_ca *ca = devagent_ca_new(c->trust_domain);
  if (!ca)
    snprintf(why, why_len, "cannot make a CA");
  return ca;
}

static int same_root(const struct devagent_ca *a, const struct devagent_ca *b) {
  size_t la, lb;
  const uint8_t *ra = devagent_ca_root(a, &la), *rb = devagent_ca_root(b, &lb);
  return la == lb && memcmp(ra, rb, la) == 0;
}

struct devagent_issuer *devagent_issuer_new(struct devagent_config *config, char *why, size_t why_len) {
  struct devagent_issuer *is = calloc(1, sizeof *is);
  if (!is) {
    devagent_config_free(config);
    snprintf(why, why_len, "out of memory");
    return NULL;
  }
  is->config = config;
  is->svids = calloc(config->entry_count + 1, sizeof *is->svids);
  is->signer = make_ca(config, why, why_len);
  if (is->svids && is->signer)
    return is;
  devagent_issuer_free(is);
  return NULL;
}

void devagent_issuer_free(struct devagent_issuer *is) {
  if (!is)
    return;
  for (size_t i = 0; is->svids && i < is->config->entry_count; i++)
    devagent_svid_clear(&is->svids[i]);
  for (size_t i = 0; i < is->retired_count; i++)
    devagent_ca_free(is->retired[i]);
  devagent_ca_free(is->signer);
  devagent_ca_free(is->next);
  devagent_config_free(is->config);
  free(is->svids);
  free(is);
}

void devagent_issuer_renew(struct devagent_issuer *is) {
  for (size_t i = 0; i < is->config->entry_count; i++)
    devagent_svid_clear(&is->svids[i]);
}

static void drop_retired(struct devagent_issuer *is, size_t i) {
  devagent_ca_free(is->retired[i]);
  is->retired_count--;
  memmove(is->retired + i, is->retired + i + 1, (is->retired_count - i) * sizeof *is->retired);
}

static void activate(struct devagent_issuer *is) {
  if (!is->next)
    return;
  if (is->retired_count == RETIRED_MAX)
    drop_retired(is, 0);
  is->retired[is->retired_count++] = is->signer;
  is->signer = is->next;
  is->next = NULL;
  devagent_issuer_renew(is);
}

static void stage(struct devagent_issuer *is, struct devagent_ca *ca) {
  activate(is);
  is->next = ca;
  is->activate_at = devagent_now_ms() + ACTIVATE_MS;
}

int devagent_issuer_rotate(struct devagent_issuer *is, char *why, size_t why_len) {
  struct devagent_ca *ca = make_ca(is->config, why, why_len);
  if (!ca)
    return -1;
  if (same_root(ca, is->next ? is->next : is->signer)) {
    devagent_ca_free(ca);
    snprintf(why, why_len, "%s still holds the same root: put another there first", is->config->ca_cert);
    return -1;
  }
  stage(is, ca);
  return 0;
}

/* An entry that stays keeps its SVID, so that a reload does not disturb whom it does not concern. */
static void carry_over(struct devagent_issuer *is, struct devagent_config *to, struct devagent_svid *svids) {
  for (size_t i = 0; i < to->entry_count; i++) {
    for (size_t k = 0; k < is->config->entry_count; k++) {
      const struct devagent_entry *a = &to->entries[i], *b = &is->config->entries[k];
      if (is->svids[k].cert && a->ttl_s == b->ttl_s && strcmp(a->spiffe_id, b->spiffe_id) == 0) {
        svids[i] = is->svids[k];
        memset(&is->svids[k], 0, sizeof is->svids[k]);
        break;
      }
    }
  }
}

int devagent_issuer_reload(struct devagent_issuer *is, struct devagent_config *config, char *why, size_t why_len) {
  struct devagent_svid *svids = calloc(config->entry_count + 1, sizeof *svids);
  struct devagent_ca *ca = NULL;
  if (!svids) {
    snprintf(why, why_len, "out of memory");
    goto bad;
  }
  if (strcmp(config->trust_domain, is->config->trust_domain) != 0) {
    snprintf(why, why_len, "the trust domain cannot change while the agent runs: start it again");
    goto bad;
  }
  if (config->ca_cert || is->config->ca_cert) {
    ca = make_ca(config, why, why_len);
    if (!ca)
      goto bad;
    if (same_root(ca, is->next ? is->next : is->signer)) {
      devagent_ca_free(ca);
      ca = NULL;
    }
  }
  carry_over(is, config, svids);
  devagent_issuer_renew(is);
  free(is->svids);
  devagent_config_free(is->config);
  is->svids = svids;
  is->config = config;
  if (ca)
    stage(is, ca);
  return 0;
bad:
  free(svids);
  devagent_config_free(config);
  return -1;
}

int devagent_issuer_tick(struct devagent_issuer *is, int64_t *next) {
  int64_t now = devagent_now_ms();
  int changed = 0;
  *next = now + 60000;
  if (is->next && now >= is->activate_at) {
    activate(is);
    changed = 1;
  }
  if (is->next && is->activate_at < *next)
    *next = is->activate_at;
  for (size_t i = 0; i < is->config->entry_count; i++) {
    struct devagent_svid *s = &is->svids[i];
    if (s->cert && now >= s->renew_at) {
      devagent_svid_clear(s);
      changed = 1;
    }
    if (s->cert && s->renew_at < *next)
      *next = s->renew_at;
  }
  for (size_t i = is->retired_count; i-- > 0;) {
    int64_t end = devagent_ca_last_not_after(is->retired[i]);
    if (now > end) {
      drop_retired(is, i);
      changed = 1;
    } else if (end + 1 < *next) {
      *next = end + 1;
    }
  }
  return changed;
}

uint8_t *devagent_issuer_roots(const struct devagent_issuer *is, size_t *len) {
  const struct devagent_ca *all[RETIRED_MAX + 2];
  size_t count = 0, n;
  all[count++] = is->signer;
  if (is->next)
    all[count++] = is->next;
  for (size_t i = is->retired_count; i-- > 0;)
    all[count++] = is->retired[i];
  *len = 0;
  for (size_t i = 0; i < count; i++) {
    devagent_ca_root(all[i], &n);
    *len += n;
  }
  uint8_t *out = malloc(*len), *p = out;
  for (size_t i = 0; out && i < count; i++) {
    const uint8_t *root = devagent_ca_root(all[i], &n);
    memcpy(p, root, n);
    p += n;
  }
  return out;
}

static int matches(const struct devagent_issuer *is, const struct devagent_selectors *who, size_t i) {
  return devagent_selectors_match(who, is->config->entries[i].selectors, is->config->entries[i].selector_count);
}

static void fill(X509SVID *m, const char *id, const char *hint, const struct devagent_svid *s, uint8_t *roots,
                 size_t roots_len) {
  x509_svid__init(m);
  m->spiffe_id = (char *)(uintptr_t)id;
  m->hint = (char *)(uintptr_t)hint;
  m->x509_svid = (ProtobufCBinaryData){.len = s->cert_len, .data = s->cert};
  m->x509_svid_key = (ProtobufCBinaryData){.len = s->key_len, .data = s->key};
  m->bundle = (ProtobufCBinaryData){.len = roots_len, .data = roots};
}

/* Packs what stands in svids[], with the federated bundles. */
static int pack_svids(const struct devagent_issuer *is, X509SVID *svids, size_t count, uint8_t **msg, size_t *len) {
  size_t feds = is->config->federation_count;
  X509SVID **at = calloc(count + 1, sizeof(X509SVID *));
  X509SVIDResponse__FederatedBundlesEntry *fed = calloc(feds + 1, sizeof *fed);
  X509SVIDResponse__FederatedBundlesEntry **fed_at = calloc(feds + 1, sizeof(void *));
  char(*names)[270] = calloc(feds + 1, sizeof *names);
  X509SVIDResponse r = X509_SVIDRESPONSE__INIT;
  int rc = -1;
  if (!at || !fed || !fed_at || !names)
    goto out;
  for (size_t i = 0; i < count; i++)
    at[i] = &svids[i];
  for (size_t i = 0; i < feds; i++) {
    const struct devagent_federation *f = &is->config->federation[i];
    x509_svidresponse__federated_bundles_entry__init(&fed[i]);
    snprintf(names[i], sizeof names[i], "spiffe://%s", f->trust_domain);
    fed[i].key = names[i];
    fed[i].value = (ProtobufCBinaryData){.len = f->bundle_len, .data = f->bundle};
    fed_at[i] = &fed[i];
  }
  r.svids = at;
  r.n_svids = count;
  r.federated_bundles = fed_at;
  r.n_federated_bundles = feds;
  *len = x509_svidresponse__get_packed_size(&r);
  *msg = OPENSSL_malloc(*len);
  if (*msg) {
    x509_svidresponse__pack(&r, *msg);
    rc = 1;
  }
out:
  free(at);
  free(fed);
  free(fed_at);
  free(names);
  return rc;
}

int devagent_issuer_svids(struct devagent_issuer *is, const struct devagent_selectors *who, uint8_t **msg,
                          size_t *len) {
  X509SVID *svids = calloc(is->config->entry_count + 1, sizeof *svids);
  size_t roots_len, count = 0;
  uint8_t *roots = devagent_issuer_roots(is, &roots_len);
  int rc = -1;
  if (!svids || !roots)
    goto out;
  for (size_t i = 0; i < is->config->entry_count; i++) {
    const struct devagent_entry *e = &is->config->entries[i];
    struct devagent_svid *s = &is->svids[i];
    if (!matches(is, who, i))
      continue;
    if (s->cert && devagent_now_ms() >= s->renew_at)
      devagent_svid_clear(s);
    if (!s->cert && devagent_ca_issue(is->signer, e->spiffe_id, e->ttl_s, s) != 0)
      goto out;
    fill(&svids[count++], e->spiffe_id, e->hint, s, roots, roots_len);
  }
  rc = count ? pack_svids(is, svids, count, msg, len) : 0;
out:
  free(svids);
  free(roots);
  return rc;
}

int devagent_issuer_bundles(struct devagent_issuer *is, const struct devagent_selectors *who, uint8_t **msg,
                            size_t *len) {
  size_t feds = is->config->federation_count, roots_len, n = 0;
  uint8_t *roots = devagent_issuer_roots(is, &roots_len);
  X509BundlesResponse__BundlesEntry *e = calloc(feds + 1, sizeof *e);
  X509BundlesResponse__BundlesEntry **at = calloc(feds + 1, sizeof(void *));
  char(*names)[270] = calloc(feds + 1, sizeof *names);
  X509BundlesResponse r = X509_BUNDLES_RESPONSE__INIT;
  int rc = -1, any = 0;
  if (!roots || !e || !at || !names)
    goto out;
  for (size_t i = 0; i < is->config->entry_count; i++)
    any |= matches(is, who, i);
  if (!any) {
    rc = 0;
    goto out;
  }
  for (; n <= feds; n++) {
    const struct devagent_federation *f = n ? &is->config->federation[n - 1] : NULL;
    x509_bundles_response__bundles_entry__init(&e[n]);
    snprintf(names[n], sizeof names[n], "spiffe://%s", f ? f->trust_domain : is->config->trust_domain);
    e[n].key = names[n];
    e[n].value = (ProtobufCBinaryData){.len = f ? f->bundle_len : roots_len, .data = f ? f->bundle : roots};
    at[n] = &e[n];
  }
  r.bundles = at;
  r.n_bundles = n;
  *len = x509_bundles_response__get_packed_size(&r);
  *msg = OPENSSL_malloc(*len);
  if (*msg) {
    x509_bundles_response__pack(&r, *msg);
    rc = 1;
  }
out:
  free(roots);
  free(e);
  free(at);
  free(names);
  return rc;
}

int devagent_issuer_mint(struct devagent_issuer *is, const char *spiffe_id, uint8_t **msg, size_t *len, char *why,
                         size_t why_len) {
  struct spiffeid id;
  struct devagent_svid s;
  X509SVID m;
  size_t roots_len;
  const char *reason;
  if (spiffeid_parse(&id, spiffe_id, strlen(spiffe_id), 1, &reason) != 0) {
    snprintf(why, why_len, "%s: %s", spiffe_id, reason);
    return 0;
  }
  if (id.domain_len != strlen(is->config->trust_domain) ||
      memcmp(id.text + 9, is->config->trust_domain, id.domain_len) != 0) {
    snprintf(why, why_len, "%s is not in the trust domain %s", spiffe_id, is->config->trust_domain);
    return 0;
  }
  snprintf(why, why_len, "out of memory");
  if (devagent_ca_issue(is->signer, spiffe_id, is->config->svid_ttl_s, &s) != 0)
    return -1;
  uint8_t *roots = devagent_issuer_roots(is, &roots_len);
  fill(&m, spiffe_id, "", &s, roots, roots_len);
  int rc = roots ? pack_svids(is, &m, 1, msg, len) : -1;
  free(roots);
  devagent_svid_clear(&s);
  return rc;
}
