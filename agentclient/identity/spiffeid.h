/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spiffeid.h - SPIFFE IDs: parsing, and nothing but exact comparison (SPIFFE-ID.md, sections 2.1 to 2.4).
 */
#ifndef IDENTITY_SPIFFEID_H
#define IDENTITY_SPIFFEID_H

#include <stddef.h>

#define SPIFFEID_MAX        2048
#define SPIFFEID_DOMAIN_MAX 255

struct spiffeid {
  char text[SPIFFEID_MAX + 1]; /* the whole, "spiffe://domain/path" */
  size_t len;
  size_t domain_len; /* the trust domain is text[9 .. 9 + domain_len) */
  /* the path, with its leading '/', is text[9 + domain_len .. len); empty for a trust domain's own ID */
};

/* Parses exactly len bytes. 0, or -1 and *why (a static string). need_path: refuse an ID without a path,
 * as an SVID's leaf must (X509-SVID.md section 2). */
int spiffeid_parse(struct spiffeid *id, const char *text, size_t len, int need_path, const char **why);
/* A bare trust domain name ("example.org"). 0, or -1 and *why. */
int spiffeid_domain_valid(const char *name, size_t len, const char **why);
int spiffeid_same_domain(const struct spiffeid *a, const struct spiffeid *b);

#endif
