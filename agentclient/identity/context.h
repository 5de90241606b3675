/* SPDX-License-Identifier: Apache-2.0 */
/*
 * context.h - how a handshake listens in on an SSL made from an SVID's context.
 *
 * An SSL that nobody watches verifies its peer by identity_verify_peer() alone, with OpenSSL's choice of alert. A
 * watched one asks its watcher, which may add the policy's word.
 */
#ifndef IDENTITY_CONTEXT_H
#define IDENTITY_CONTEXT_H

#include "identity.h"

struct identity_watch {
  void *arg;
  /* The peer's certificate, leaf first in chain, not verified. Returns 1 to let the handshake go on, 0 to end it;
   * what that means for the peer is the watcher's affair. NULL: identity_verify_peer() decides. */
  int (*peer)(void *arg, X509 *leaf, STACK_OF(X509) * chain);
  /* A line of the key log ("LABEL client_random secret", hexadecimal). May be NULL. */
  void (*secret)(void *arg, const char *line);
};

/* The watch is borrowed and must outlive ssl. 0, or -1 when out of memory. */
int identity_context_watch(SSL *ssl, const struct identity_watch *watch);

#endif
