/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path.c - is there a certification path (RFC 5280 section 6) from a peer's leaf to a root of its own trust
 * domain? OpenSSL builds and checks it; this file gives it one domain's roots, and puts its answer in words.
 *
 * Host names are never checked and purposes never asked for: an SVID's name is its SPIFFE ID.
 */
#include "internal.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

/* How OpenSSL's answer is told to the peer and to the log. */
struct finding {
  int error; /* X509_V_..., X509_V_OK when there is a path */
  int depth;
  X509 *cert;             /* where it failed; referenced */
  STACK_OF(X509) * chain; /* the path; referenced */
};

static void finding_reset(struct finding *f) {
  X509_free(f->cert);
  sk_X509_pop_free(f->chain, X509_free);
  memset(f, 0, sizeof *f);
}

/* A CA without a list is not asked about. Every other complaint about a list stands, a stale one included. */
static int no_list_is_fine(int ok, X509_STORE_CTX *ctx) {
  if (ok || X509_STORE_CTX_get_error(ctx) != X509_V_ERR_UNABLE_TO_GET_CRL)
    return ok;
  X509_STORE_CTX_set_error(ctx, X509_V_OK);
  return 1;
}

/* One run of OpenSSL's verifier. roots: instead of the store's, where given. */
static void run(struct finding *f, const struct identity_domain *d, STACK_OF(X509) * roots, STACK_OF(X509_CRL) * crls,
                X509 *leaf, STACK_OF(X509) * chain, time_t now) {
  X509_STORE_CTX *ctx = X509_STORE_CTX_new();
  finding_reset(f);
  f->error = X509_V_ERR_OUT_OF_MEM;
  if (!ctx || !X509_STORE_CTX_init(ctx, d->store, leaf, chain))
    goto out;
  if (roots)
    X509_STORE_CTX_set0_trusted_stack(ctx, roots);
  X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(ctx), now);
  if (crls) {
    X509_STORE_CTX_set0_crls(ctx, crls);
    X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(ctx), X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    X509_STORE_CTX_set_verify_cb(ctx, no_list_is_fine);
  }
  int ok = X509_verify_cert(ctx) == 1;
  int error = X509_STORE_CTX_get_error(ctx);
  /* Success is both: the call's word, and no error on record. */
  f->error = ok ? error : error == X509_V_OK ? X509_V_ERR_UNSPECIFIED : error;
  f->depth = X509_STORE_CTX_get_error_depth(ctx);
  f->cert = X509_STORE_CTX_get_current_cert(ctx);
  if (f->cert)
    X509_up_ref(f->cert);
  if (f->error == X509_V_OK && !(f->chain = X509_STORE_CTX_get1_chain(ctx)))
    f->error = X509_V_ERR_OUT_OF_MEM;
out:
  X509_STORE_CTX_free(ctx);
  ERR_clear_error();
}

/* Roots that share a name are common (a SPIRE server keeps its name when it rotates its CA). Key identifiers tell
 * them apart; where a CA leaves those out, OpenSSL picks one by name and does not come back. So try each alone. */
static void run_each_root(struct finding *f, const struct identity_domain *d, X509 *leaf, STACK_OF(X509) * chain,
                          time_t now) {
  for (int i = 0; i < sk_X509_num(d->roots) && f->error == X509_V_ERR_CERT_SIGNATURE_FAILURE; i++) {
    STACK_OF(X509) *one = sk_X509_new_null();
    struct finding alone = {.error = X509_V_ERR_OUT_OF_MEM};
    if (one && sk_X509_push(one, sk_X509_value(d->roots, i)))
      run(&alone, d, one, NULL, leaf, chain, now);
    if (alone.error == X509_V_OK) {
      finding_reset(f);
      *f = alone;
    } else
      finding_reset(&alone);
    sk_X509_free(one);
  }
}

/* ---- revocation ---------------------------------------------------------------------------------------- */

static bool issued_by_path(X509_CRL *crl, STACK_OF(X509) * path) {
  for (int i = 1; i < sk_X509_num(path); i++) {
    X509 *ca = sk_X509_value(path, i);
    if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(ca)) == 0 &&
        X509_CRL_verify(crl, X509_get0_pubkey(ca)) == 1)
      return true;
  }
  return false;
}

/* The lists that a CA of this path signed. Names do not suffice: domains share them. */
static STACK_OF(X509_CRL) * lists_for(STACK_OF(X509_CRL) * all, STACK_OF(X509) * path) {
  STACK_OF(X509_CRL) *ours = sk_X509_CRL_new_null();
  for (int i = 0; ours && i < sk_X509_CRL_num(all); i++) {
    X509_CRL *crl = sk_X509_CRL_value(all, i);
    if (issued_by_path(crl, path) && !sk_X509_CRL_push(ours, crl)) {
      sk_X509_CRL_free(ours);
      ours = NULL;
    }
  }
  ERR_clear_error();
  return ours;
}

/* Runs again with the lists of the path's own CAs, over the anchors that the first run ended at. */
static void run_with_lists(struct finding *f, const struct identity_domain *d, STACK_OF(X509_CRL) * all, X509 *leaf,
                           time_t now, struct identity_span *span) {
  STACK_OF(X509) *found = X509_chain_up_ref(f->chain), *anchor = sk_X509_new_null();
  STACK_OF(X509_CRL) *ours = found ? lists_for(all, found) : NULL;
  if (!found || !anchor || !ours || !sk_X509_push(anchor, sk_X509_value(found, sk_X509_num(found) - 1))) {
    finding_reset(f);
    f->error = X509_V_ERR_OUT_OF_MEM;
  } else if (sk_X509_CRL_num(ours) > 0)
    run(f, d, anchor, ours, leaf, found, now);
  for (int i = 0; i < sk_X509_CRL_num(ours); i++) {
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(sk_X509_CRL_value(ours, i));
    if (next && identity_time(next) < span->until)
      span->until = identity_time(next);
  }
  sk_X509_CRL_free(ours);
  sk_X509_free(anchor);
  sk_X509_pop_free(found, X509_free);
}

/* ---- words and alerts --------------------------------------------------------------------------------------- */

static int alert_for(int error) {
  switch (error) {
  case X509_V_ERR_CERT_HAS_EXPIRED:
  case X509_V_ERR_CRL_HAS_EXPIRED:
    return SSL_AD_CERTIFICATE_EXPIRED;
  case X509_V_ERR_CERT_REVOKED:
    return SSL_AD_CERTIFICATE_REVOKED;
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
  case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
  case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
  case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
  case X509_V_ERR_CERT_UNTRUSTED:
  case X509_V_ERR_CERT_CHAIN_TOO_LONG:
  case X509_V_ERR_PATH_LENGTH_EXCEEDED:
    return SSL_AD_UNKNOWN_CA;
  case X509_V_ERR_OUT_OF_MEM:
  case X509_V_ERR_UNSPECIFIED:
    return SSL_AD_INTERNAL_ERROR;
  default:
    return SSL_AD_BAD_CERTIFICATE;
  }
}

/* OpenSSL calls it self-signed; whether it is, its signature says. A CA that gives its leaves its own subject and no
 * key identifiers makes them look so, to every verifier built on OpenSSL. */
static bool looks_self_signed(const struct finding *f) {
  return f->error == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT && f->cert &&
         X509_verify(f->cert, X509_get0_pubkey(f->cert)) != 1;
}

static int in_words(const struct finding *f, const struct identity_domain *d, const struct spiffeid *peer, char *why,
                    size_t why_len) {
  char when[32], which[128] = "certificate";
  const char *words = X509_verify_cert_error_string(f->error);
  if (f->cert && f->depth > 0) {
    char subject[96];
    snprintf(which, sizeof which, "signing certificate %s", identity_subject_text(f->cert, subject, sizeof subject));
  }
  if (f->error == X509_V_ERR_INVALID_CA && f->cert && identity_signer_rules(f->cert, peer, false, why, why_len) != 0)
    return -1;
  if (f->error == X509_V_ERR_CERT_HAS_EXPIRED && f->cert)
    return identity_refuse(why, why_len, "%s expired at %s", which,
                           identity_time_text(X509_get0_notAfter(f->cert), when, sizeof when));
  if (f->error == X509_V_ERR_CERT_NOT_YET_VALID && f->cert)
    return identity_refuse(why, why_len, "%s is not valid before %s", which,
                           identity_time_text(X509_get0_notBefore(f->cert), when, sizeof when));
  if (f->error == X509_V_ERR_CERT_REVOKED)
    return identity_refuse(why, why_len, "%s is revoked", which);
  if (looks_self_signed(f))
    words = "leaf and issuer have the same subject";
  if (alert_for(f->error) == SSL_AD_UNKNOWN_CA || f->error == X509_V_ERR_CERT_SIGNATURE_FAILURE)
    return identity_refuse(why, why_len, "not signed by the roots of trust domain %s: %s", d->name, words);
  return identity_refuse(why, why_len, "%s does not verify: %s", which, words);
}

/* ---- the whole ------------------------------------------------------------------------------------------------ */

static int signers(const struct finding *f, const struct spiffeid *peer, char *why, size_t why_len) {
  int n = sk_X509_num(f->chain);
  if (n < 2) /* a bundle says who may sign, not who may connect */
    return identity_refuse(why, why_len, "the leaf itself stands in the trust bundle: nobody signed it");
  for (int i = 1; i < n; i++)
    if (identity_signer_rules(sk_X509_value(f->chain, i), peer, i == n - 1, why, why_len) != 0)
      return -1;
  return 0;
}

static void validity(const struct finding *f, struct identity_span *span) {
  for (int i = 0; i < sk_X509_num(f->chain); i++) {
    X509 *cert = sk_X509_value(f->chain, i);
    time_t from = identity_time(X509_get0_notBefore(cert)), until = identity_time(X509_get0_notAfter(cert));
    if (i == 0 || from > span->from)
      span->from = from;
    if (i == 0 || until < span->until)
      span->until = until;
  }
}

int identity_path_verify(const struct identity_domain *d, STACK_OF(X509_CRL) * crls, X509 *leaf,
                         STACK_OF(X509) * chain, const struct spiffeid *peer, time_t now, struct identity_span *span,
                         int *alert, char *why, size_t why_len) {
  struct finding f = {0};
  int rc = -1;
  memset(span, 0, sizeof *span);
  run(&f, d, NULL, NULL, leaf, chain, now);
  run_each_root(&f, d, leaf, chain, now);
  if (f.error == X509_V_OK) {
    validity(&f, span);
    if (sk_X509_CRL_num(crls) > 0)
      run_with_lists(&f, d, crls, leaf, now, span);
  }
  if (f.error != X509_V_OK) {
    *alert = alert_for(f.error);
    in_words(&f, d, peer, why, why_len);
    ERR_clear_error();
  } else if (signers(&f, peer, why, why_len) != 0)
    *alert = SSL_AD_BAD_CERTIFICATE;
  else
    rc = 0;
  finding_reset(&f);
  return rc;
}
