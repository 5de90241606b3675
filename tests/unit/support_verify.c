/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support_verify.c - see support_verify.h.
 */
#include "support_verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

void verify_world_open(struct verify_world *w) {
  w->ca = pki_ca_new("example.org");
  w->partner = pki_ca_new("partner.test");
  w->me = pki_issue(w->ca, &(struct pki_leaf){.id = "spiffe://example.org/me"});
  w->id = pki_identity(w->me, (struct pki_ca *[]){w->ca, w->partner, NULL});
}

void verify_world_close(struct verify_world *w) {
  identity_unref(w->id);
  pki_svid_free(w->me);
  pki_ca_free(w->ca);
  pki_ca_free(w->partner);
}

struct verify_answer verify_at(struct identity *id, X509 *leaf, STACK_OF(X509) * chain, time_t now) {
  struct verify_answer a = {.alert = -1};
  a.rc = identity_verify_peer(id, leaf, chain, now, &a.peer, &a.alert, a.why, sizeof a.why);
  return a;
}

void verify_believed(struct identity *id, const struct pki_svid *s) {
  for (int again = 0; again < 2; again++) { /* the second time out of the cache */
    struct verify_answer a = verify_at(id, s->cert, s->chain, 0);
    if (a.rc != 0)
      fail_msg("%s: %s", s->id, a.why);
    assert_string_equal(a.peer.text, s->id);
  }
}

void verify_disbelieved(struct identity *id, const struct pki_svid *s, int alert, const char *why) {
  for (int again = 0; again < 2; again++) {
    struct verify_answer a = verify_at(id, s->cert, s->chain, 0);
    if (a.rc == 0)
      fail_msg("%s was believed; expected \"%s\"", s->id, why);
    if (!strstr(a.why, why))
      fail_msg("%s: \"%s\" does not mention \"%s\"", s->id, a.why, why);
    if (alert != a.alert)
      fail_msg("%s: alert %d, expected %d (%s)", s->id, a.alert, alert, a.why);
  }
}
