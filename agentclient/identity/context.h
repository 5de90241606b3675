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

  /* Resumption; each may be NULL. Both ends say in a TLS extension of our own (private use, RFC 8446 section 11) how
   * many tickets they want or will give: only another svidwrap asks, so nobody else is ever sent one. */
  unsigned (*tickets)(void *arg);                   /* what to say; 0: leave the extension out */
  void (*tickets_heard)(void *arg, unsigned count); /* what the peer said */
  /* Client: what to resume. A new session, or NULL; *ticket stays the watcher's. md: NULL, or the only hash that
   * will do. */
  SSL_SESSION *(*offer)(void *arg, const EVP_MD *md, const unsigned char **ticket, size_t *len);
  /* Server: a ticket that a client brought. A new session, or NULL: it goes on with a full handshake. */
  SSL_SESSION *(*redeem)(void *arg, const unsigned char *ticket, size_t len);
};

/* A session that stands for a secret that both ends share; NULL: out of memory. */
SSL_SESSION *identity_context_session(SSL *ssl, uint16_t cipher, const unsigned char *psk, size_t len);

/* The watch is borrowed and must outlive ssl. 0, or -1 when out of memory. */
int identity_context_watch(SSL *ssl, const struct identity_watch *watch);

#endif
