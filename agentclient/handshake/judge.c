/* SPDX-License-Identifier: Apache-2.0 */
/*
 * judge.c - the verdict on a peer: is it who it says (identity), and may it talk to us (policy)?
 *
 * A refusal is recorded and the handshake runs on to its end. Only then is it known that the peer holds the key of
 * the certificate it showed, so that the audit line names no innocent; and only then have both sides the keys under
 * which an alert of our own choice, access_denied, can be sent. Nothing but VERDICT_ALLOWED and VERDICT_WOULD_DENY
 * leads to HANDSHAKE_OK.
 */
#include "internal.h"

#include <stdio.h>

static void refuse(struct handshake *h, enum handshake_outcome as, int alert) {
  h->verdict = VERDICT_REFUSED;
  h->refusal = as;
  h->alert = alert;
  /* A client that refuses its server sends nothing more but the alert: its own certificate is none of the server's
   * business now. */
  if (h->request.role == ARENA_CLIENT)
    handshake_io_mute(&h->io);
}

enum handshake_verdict handshake_policy(const struct handshake *h, const struct spiffeid *peer, char *reason,
                                        size_t len) {
  const struct policy_rule *rule = policy_rule_at(h->request.policy, h->request.rule);
  const char *why = "denied";
  if (policy_allows(h->request.policy, h->request.rule, &h->request.svid->id, peer, &why))
    return VERDICT_ALLOWED;
  snprintf(reason, len, "%s", why);
  return rule && rule->audit_only ? VERDICT_WOULD_DENY : VERDICT_REFUSED;
}

int handshake_judge(void *handshake, X509 *leaf, STACK_OF(X509) * chain) {
  struct handshake *h = handshake;
  int alert = SSL_AD_INTERNAL_ERROR;
  h->verdict = VERDICT_REFUSED;
  if (identity_verify_peer_span(h->request.identity, leaf, chain, 0, &h->peer, &h->span, &alert, h->reason,
                                sizeof h->reason) != 0) {
    refuse(h, HANDSHAKE_UNVERIFIED, alert);
    return 1;
  }
  enum handshake_verdict verdict = handshake_policy(h, &h->peer, h->reason, sizeof h->reason);
  if (verdict == VERDICT_REFUSED)
    refuse(h, HANDSHAKE_DENIED, SSL_AD_ACCESS_DENIED);
  else
    h->verdict = verdict;
  return 1;
}
