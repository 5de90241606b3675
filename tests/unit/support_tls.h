/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support_tls.h - an OpenSSL peer for the tests: a TLS 1.3 pair that has shaken hands, and the traffic
 * secrets of both directions, so that one end can be played by the code under test.
 */
#ifndef TESTS_SUPPORT_TLS_H
#define TESTS_SUPPORT_TLS_H

#include "svidwrap/arena.h"

#include <openssl/ssl.h>

struct tls_pair {
  SSL_CTX *client_ctx, *server_ctx;
  SSL *client, *server;
  uint16_t cipher;
  uint8_t client_secret[ARENA_SECRET_MAX], server_secret[ARENA_SECRET_MAX];
};

/* Shakes hands over memory BIOs. tickets: session tickets that the server sends after it. */
void tls_pair_open(struct tls_pair *p, uint16_t cipher, int tickets);
void tls_pair_close(struct tls_pair *p);

/* Fills in the daemon's part of a slot: the local end plays `role` of the pair. */
void tls_pair_slot(const struct tls_pair *p, struct arena_slot *slot, enum arena_role role);
/* The SSL object of the other end, given the local role. */
SSL *tls_pair_peer(struct tls_pair *p, enum arena_role local);
/* The peer goes on over a socket from here (what it has written so far is sent first). */
void tls_pair_socket(SSL *peer, int fd);

#endif
