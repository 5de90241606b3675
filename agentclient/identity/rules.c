/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rules.c - what the X.509-SVID standard asks of a leaf and of a signing certificate (X509-SVID.md sections 2
 * to 4), one function a rule.
 *
 * It looks at single certificates only and trusts nobody: who signed is path.c's question.
 */
#include "internal.h"

#include <openssl/x509v3.h>
#include <string.h>

/* ---- the SPIFFE ID ------------------------------------------------------------------------------------- */

static int count_uris(const GENERAL_NAMES *names, const ASN1_IA5STRING **first) {
  int n = 0;
  for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_URI)
      continue;
    if (n++ == 0)
      *first = name->d.uniformResourceIdentifier;
  }
  return n;
}

/* Exactly one URI SAN, and it is a SPIFFE ID with a path. Other kinds of name may stand beside it. */
static int leaf_id(X509 *leaf, struct spiffeid *id, char *why, size_t why_len) {
  int critical = -1, rc = -1;
  GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, &critical, NULL);
  const ASN1_IA5STRING *uri = NULL;
  const char *detail = "";
  memset(id, 0, sizeof *id);
  if (!names && critical == -2)
    return identity_refuse(why, why_len, "the subject alternative name extension appears twice");
  if (!names)
    return identity_refuse(why, why_len,
                           critical == -1 ? "no URI SAN: not an SVID"
                                          : "the subject alternative name extension cannot be parsed");
  int uris = count_uris(names, &uri);
  if (uris == 0)
    identity_refuse(why, why_len, "no URI SAN: not an SVID");
  else if (uris > 1)
    identity_refuse(why, why_len, "%s%d URI SANs, an SVID has exactly one", uris == 2 ? "two URI SANs: " : "", uris);
  else if (spiffeid_parse(id, (const char *)ASN1_STRING_get0_data(uri), (size_t)ASN1_STRING_length(uri), 1, &detail))
    identity_refuse(why, why_len, "not a valid SPIFFE ID: %s", detail);
  else
    rc = 0;
  GENERAL_NAMES_free(names);
  return rc;
}

/* ---- the leaf ---------------------------------------------------------------------------------------------- */

static uint32_t flags(X509 *cert) { return X509_get_extension_flags(cert); }
static uint32_t usage(X509 *cert) { return (flags(cert) & EXFLAG_KUSAGE) ? X509_get_key_usage(cert) : 0; }

static bool well_formed(X509 *leaf) { return !(flags(leaf) & EXFLAG_INVALID); }
static bool not_a_ca(X509 *leaf) { return !(flags(leaf) & EXFLAG_CA); }
static bool has_key_usage(X509 *leaf) { return flags(leaf) & EXFLAG_KUSAGE; }
static bool signs_handshakes(X509 *leaf) { return usage(leaf) & KU_DIGITAL_SIGNATURE; }
static bool signs_no_certificates(X509 *leaf) { return !(usage(leaf) & KU_KEY_CERT_SIGN); }
static bool signs_no_crls(X509 *leaf) { return !(usage(leaf) & KU_CRL_SIGN); }

/* anyExtendedKeyUsage does not stand in for the two: section 4.4 asks for them by name. */
static bool purpose(X509 *leaf, uint32_t wanted) {
  return !(flags(leaf) & EXFLAG_XKUSAGE) || (X509_get_extended_key_usage(leaf) & wanted);
}
static bool serves(X509 *leaf) { return purpose(leaf, XKU_SSL_SERVER); }
static bool dials(X509 *leaf) { return purpose(leaf, XKU_SSL_CLIENT); }

/* The standard also asks issuers to mark keyUsage critical. A verifier that understands the extension gains
 * nothing from insisting, and section 5.2 does not ask it to; so this is not checked. */
static const struct {
  bool (*holds)(X509 *leaf);
  int alert;
  const char *violation;
} leaf_rules[] = {
    {well_formed, SSL_AD_BAD_CERTIFICATE, "an extension of the certificate is malformed or appears twice"},
    {not_a_ca, SSL_AD_BAD_CERTIFICATE, "leaf is a CA (basicConstraints)"},
    {has_key_usage, SSL_AD_UNSUPPORTED_CERTIFICATE, "leaf has no keyUsage"},
    {signs_handshakes, SSL_AD_UNSUPPORTED_CERTIFICATE, "keyUsage of the leaf lacks digitalSignature"},
    {signs_no_certificates, SSL_AD_BAD_CERTIFICATE, "keyUsage of the leaf has keyCertSign"},
    {signs_no_crls, SSL_AD_BAD_CERTIFICATE, "keyUsage of the leaf has cRLSign"},
    {serves, SSL_AD_UNSUPPORTED_CERTIFICATE, "extended key usage of the leaf lacks serverAuth"},
    {dials, SSL_AD_UNSUPPORTED_CERTIFICATE, "extended key usage of the leaf lacks clientAuth"},
};

int identity_leaf_rules(X509 *leaf, struct spiffeid *id, int *alert, char *why, size_t why_len) {
  *alert = SSL_AD_BAD_CERTIFICATE;
  if (leaf_id(leaf, id, why, why_len) != 0)
    return -1;
  for (size_t i = 0; i < sizeof leaf_rules / sizeof leaf_rules[0]; i++) {
    if (!leaf_rules[i].holds(leaf)) {
      *alert = leaf_rules[i].alert;
      return identity_refuse(why, why_len, "%s", leaf_rules[i].violation);
    }
  }
  return 0;
}

int identity_check_leaf(X509 *leaf, struct spiffeid *id, char *why, size_t why_len) {
  int alert;
  return identity_leaf_rules(leaf, id, &alert, why, why_len);
}

/* ---- signing certificates ----------------------------------------------------------------------------------- */

/* One name of a signing certificate. A SPIFFE ID there must not have a path (section 3.2). It should be of the
 * domain that the certificate signs for: an intermediate that calls itself another domain's authority does not
 * get to speak for this one. What the bundle itself holds is the agent's word, and may be a foreign root. */
static int signer_name(const ASN1_IA5STRING *uri, const struct spiffeid *domain, bool anchor, char *why,
                       size_t why_len) {
  const char *text = (const char *)ASN1_STRING_get0_data(uri), *detail = "";
  size_t len = (size_t)ASN1_STRING_length(uri);
  struct spiffeid id;
  if (len < 7 || memcmp(text, "spiffe:", 7) != 0)
    return 0; /* some other URI: CAs may carry those */
  if (spiffeid_parse(&id, text, len, 0, &detail) != 0)
    return identity_refuse(why, why_len, "has an invalid SPIFFE ID: %s", detail);
  if (id.len != sizeof "spiffe://" - 1 + id.domain_len)
    return identity_refuse(why, why_len, "has a SPIFFE ID with a path");
  if (!anchor && !spiffeid_same_domain(&id, domain))
    return identity_refuse(why, why_len, "is of another trust domain (%.200s)", id.text);
  return 0;
}

static int signer_names(X509 *signer, const struct spiffeid *domain, bool anchor, char *why, size_t why_len) {
  int critical = -1, rc = 0;
  GENERAL_NAMES *names = X509_get_ext_d2i(signer, NID_subject_alt_name, &critical, NULL);
  if (!names)
    return critical == -1 ? 0 : identity_refuse(why, why_len, "has a malformed subject alternative name");
  for (int i = 0; rc == 0 && i < sk_GENERAL_NAME_num(names); i++) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
    if (name->type == GEN_URI)
      rc = signer_name(name->d.uniformResourceIdentifier, domain, anchor, why, why_len);
  }
  GENERAL_NAMES_free(names);
  return rc;
}

static int signer_rules(X509 *signer, const struct spiffeid *domain, bool anchor, char *why, size_t why_len) {
  if (flags(signer) & EXFLAG_INVALID)
    return identity_refuse(why, why_len, "has a malformed or repeated extension");
  if (!(flags(signer) & EXFLAG_CA))
    return identity_refuse(why, why_len, "is not a CA (basicConstraints)");
  /* Old corporate roots have no keyUsage, which RFC 5280 reads as "any"; between root and leaf it must be there. */
  if (!(flags(signer) & EXFLAG_KUSAGE) && !anchor)
    return identity_refuse(why, why_len, "has no keyUsage");
  if ((flags(signer) & EXFLAG_KUSAGE) && !(usage(signer) & KU_KEY_CERT_SIGN))
    return identity_refuse(why, why_len, "lacks keyCertSign");
  return signer_names(signer, domain, anchor, why, why_len);
}

int identity_signer_rules(X509 *signer, const struct spiffeid *domain, bool anchor, char *why, size_t why_len) {
  char detail[320], subject[128];
  if (signer_rules(signer, domain, anchor, detail, sizeof detail) == 0)
    return 0;
  return identity_refuse(why, why_len, "signing certificate %s %s",
                         identity_subject_text(signer, subject, sizeof subject), detail);
}
