/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support_verify.h - somebody who verifies: an identity of example.org that is federated with partner.test, and the
 * two things that a test says about a peer: believed, or not and why. Each is asked twice, the second time of the
 * cache.
 */
#ifndef TESTS_SUPPORT_VERIFY_H
#define TESTS_SUPPORT_VERIFY_H

#include "support_pki.h"

struct verify_world {
  struct pki_ca *ca, *partner;
  struct pki_svid *me;
  struct identity *id;
};
void verify_world_open(struct verify_world *w);
void verify_world_close(struct verify_world *w);

struct verify_answer {
  int rc, alert;
  struct spiffeid peer;
  char why[256];
};
struct verify_answer verify_at(struct identity *id, X509 *leaf, STACK_OF(X509) * chain, time_t now);

void verify_believed(struct identity *id, const struct pki_svid *s);
/* why: a part of the reason. */
void verify_disbelieved(struct identity *id, const struct pki_svid *s, int alert, const char *why);

#endif
