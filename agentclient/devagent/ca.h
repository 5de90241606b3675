/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ca.h - the dev agent's certificate authority and the SVIDs that it signs.
 *
 * The key of a CA that was made here never leaves this process's memory; there is no call that returns it.
 */
#ifndef DEVAGENT_CA_H
#define DEVAGENT_CA_H

#include <stddef.h>
#include <stdint.h>

struct devagent_ca;

/* One SVID, ready for the wire. Times are CLOCK_REALTIME in milliseconds. */
struct devagent_svid {
  uint8_t *cert; /* DER leaf */
  size_t cert_len;
  uint8_t *key; /* PKCS#8 DER; wiped by devagent_svid_clear() */
  size_t key_len;
  int64_t renew_at, not_after;
};

int64_t devagent_now_ms(void);

/* A CA of our own for a trust domain. NULL: out of memory or no randomness. */
struct devagent_ca *devagent_ca_new(const char *trust_domain);
/* An outside one. NULL and a reason. */
struct devagent_ca *devagent_ca_load(const char *cert_file, const char *key_file, char *why, size_t why_len);
void devagent_ca_free(struct devagent_ca *ca);

/* Its certificate as DER; belongs to the CA. */
const uint8_t *devagent_ca_root(const struct devagent_ca *ca, size_t *len);
/* When the last SVID that it signed ends; 0: it signed none. */
int64_t devagent_ca_last_not_after(const struct devagent_ca *ca);

/* Signs a new key for this ID: 0 or -1. */
int devagent_ca_issue(struct devagent_ca *ca, const char *spiffe_id, int64_t ttl_s, struct devagent_svid *out);
void devagent_svid_clear(struct devagent_svid *s);

#endif
