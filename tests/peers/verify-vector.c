/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify-vector.c - our verifier alone, for certificates that others wrote: prints "ok" and the ID and exits 0, or
 * the reason and exits 1; 2 when there is no root to read. The root is taken for the bundle of the leaf's own trust
 * domain, so that the domain is never the reason. Without it: the rules for single certificates, the leaf's and the
 * intermediates'. It asks nobody else and changes nothing.
 *
 * usage: verify-vector CHAIN.pem [ROOT.pem]
 */
#include "agentclient/identity/internal.h"
#include "tests/unit/support_pki.h"

#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

static STACK_OF(X509) * read_chain(const char *path) {
  STACK_OF(X509) *chain = sk_X509_new_null();
  FILE *f = fopen(path, "r");
  X509 *cert;
  while (f && (cert = PEM_read_X509(f, NULL, NULL, NULL)) != NULL)
    sk_X509_push(chain, cert);
  if (f)
    fclose(f);
  return chain;
}

static int say(int rc, const struct spiffeid *id, const char *why) {
  puts(rc == 0 ? "ok" : why);
  if (rc == 0)
    puts(id->text);
  return rc == 0 ? 0 : 1;
}

static int single_rules(X509 *leaf, STACK_OF(X509) * rest) {
  struct spiffeid id = {.len = 0};
  char why[512] = "";
  int rc = identity_check_leaf(leaf, &id, why, sizeof why);
  for (int i = 0; rc == 0 && i < sk_X509_num(rest); i++)
    rc = identity_signer_rules(sk_X509_value(rest, i), &id, false, why, sizeof why);
  return say(rc, &id, why);
}

static int whole_path(X509 *leaf, STACK_OF(X509) * rest, X509 *root) {
  struct spiffeid id = {.len = 0}, peer = {.len = 0};
  struct pki_ca *own = pki_ca_new("verify-vector.test");
  struct pki_svid *self = pki_issue(own, &(struct pki_leaf){.id = NULL});
  struct pki_ca theirs = {.domain = "example.org", .cert = root};
  char why[512] = "";
  int alert;
  if (identity_check_leaf(leaf, &id, why, sizeof why) == 0)
    snprintf(theirs.domain, sizeof theirs.domain, "%.*s", (int)id.domain_len, id.text + 9);
  struct identity *me = pki_identity(self, (struct pki_ca *[]){own, &theirs, NULL});
  int rc = identity_verify_peer(me, leaf, rest, 0, &peer, &alert, why, sizeof why);
  return say(rc, &peer, why);
}

int main(int argc, char **argv) {
  if (argc < 2 || argc > 3)
    return 64;
  STACK_OF(X509) *chain = read_chain(argv[1]);
  X509 *leaf = sk_X509_shift(chain);
  if (!leaf)
    return say(1, NULL, "no certificate can be read");
  if (argc == 2)
    return single_rules(leaf, chain);
  X509 *root = sk_X509_shift(read_chain(argv[2]));
  return root ? whole_path(leaf, chain, root) : 2;
}
