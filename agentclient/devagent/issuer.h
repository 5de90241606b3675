/* SPDX-License-Identifier: Apache-2.0 */
/*
 * issuer.h - what each caller gets: the entries, their SVIDs, the roots and their rotation.
 *
 * Not thread-safe; the server calls it under its lock. Every answer is a complete message; whether it
 * differs from the one before is for the server to see.
 */
#ifndef DEVAGENT_ISSUER_H
#define DEVAGENT_ISSUER_H

#include "attest.h"
#include "ca.h"
#include "config.h"

struct devagent_issuer;

/* Takes the configuration over, even on failure. */
struct devagent_issuer *devagent_issuer_new(struct devagent_config *config, char *why, size_t why_len);
void devagent_issuer_free(struct devagent_issuer *is);

/* Replaces the configuration; SVIDs of entries that stay are kept. On failure the old one holds. */
int devagent_issuer_reload(struct devagent_issuer *is, struct devagent_config *config, char *why, size_t why_len);
void devagent_issuer_renew(struct devagent_issuer *is); /* new SVIDs for everybody */
/* A new root joins the bundle at once and signs a second later, when everybody has had it; the old one
 * leaves the bundle when the last SVID that it signed has ended. */
int devagent_issuer_rotate(struct devagent_issuer *is, char *why, size_t why_len);

/* Does what time has brought about. 1: answers may have changed. *next: when to call again (ms, as
 * devagent_now_ms), at most a minute ahead. */
int devagent_issuer_tick(struct devagent_issuer *is, int64_t *next);

/* Packed messages, OPENSSL_malloc()ed, to be OPENSSL_clear_free()d. 1: there is one, 0: no entry matches,
 * -1: failure. */
int devagent_issuer_svids(struct devagent_issuer *is, const struct devagent_selectors *who, uint8_t **msg,
                          size_t *len);
int devagent_issuer_bundles(struct devagent_issuer *is, const struct devagent_selectors *who, uint8_t **msg,
                            size_t *len);
/* An SVID for any ID of the trust domain, as an X509SVIDResponse. */
int devagent_issuer_mint(struct devagent_issuer *is, const char *spiffe_id, uint8_t **msg, size_t *len, char *why,
                         size_t why_len);

/* The trust bundle, concatenated DER; malloc()ed. */
uint8_t *devagent_issuer_roots(const struct devagent_issuer *is, size_t *len);

#endif
