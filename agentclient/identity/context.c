/* SPDX-License-Identifier: Apache-2.0 */
/*
 * context.c - one SSL_CTX a role for every SVID generation: TLS 1.3 only, mutual authentication always.
 *
 * Decoding keys is a third of a handshake's cost in OpenSSL 3.0; it happens here, once. No tickets and no session
 * cache of OpenSSL's, no renegotiation, no early data, no resumption without a fresh key exchange (psk_dhe_ke only).
 * What is resumed is the watcher's affair: an SSL that nobody watches resumes nothing.
 */
#include "internal.h"
#include "context.h"

#include <openssl/err.h>
#include <pthread.h>

#define CIPHERSUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS       "X25519:P-256"
/* Sizes the write buffer that every handshake under way holds; a longer chain takes two records. */
#define SEND_FRAGMENT  4096
#define PEER_CHAIN_MAX (100 * 1024)
/* Private use, 0xff00 to 0xffff: "how many tickets", { version, count }. */
#define TICKETS_EXTENSION 0xff53u
#define TICKETS_VERSION   1

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int watch_index = -1;
static void make_index(void) { watch_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL); }

int identity_context_watch(SSL *ssl, const struct identity_watch *watch) {
  pthread_once(&once, make_index);
  return watch_index >= 0 && SSL_set_ex_data(ssl, watch_index, (void *)(uintptr_t)watch) ? 0 : -1;
}

static const struct identity_watch *watch_of(const SSL *ssl) {
  return ssl && watch_index >= 0 ? SSL_get_ex_data(ssl, watch_index) : NULL;
}

/* OpenSSL takes its alert from the verification error: the nearest one for each that the verifier names. */
static int error_for(int alert) {
  switch (alert) {
  case SSL_AD_CERTIFICATE_EXPIRED:
    return X509_V_ERR_CERT_HAS_EXPIRED;
  case SSL_AD_CERTIFICATE_REVOKED:
    return X509_V_ERR_CERT_REVOKED;
  case SSL_AD_UNKNOWN_CA:
    return X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;
  case SSL_AD_UNSUPPORTED_CERTIFICATE:
    return X509_V_ERR_INVALID_PURPOSE;
  default:
    return X509_V_ERR_CERT_REJECTED;
  }
}

static int unwatched(const struct identity *id, X509_STORE_CTX *ctx) {
  struct spiffeid peer;
  int alert = SSL_AD_INTERNAL_ERROR;
  if (identity_verify_peer(id, X509_STORE_CTX_get0_cert(ctx), X509_STORE_CTX_get0_untrusted(ctx), 0, &peer, &alert,
                           NULL, 0) == 0)
    return 1;
  X509_STORE_CTX_set_error(ctx, error_for(alert));
  return 0;
}

/* Replaces OpenSSL's own chain verification, which would ask for host names and trust one set of roots. */
static int verify_certificate(X509_STORE_CTX *ctx, void *arg) {
  const SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
  const struct identity_watch *watch = watch_of(ssl);
  X509_STORE_CTX_set_error(ctx, X509_V_OK);
  if (!watch || !watch->peer)
    return unwatched(arg, ctx);
  if (watch->peer(watch->arg, X509_STORE_CTX_get0_cert(ctx), X509_STORE_CTX_get0_untrusted(ctx)))
    return 1;
  X509_STORE_CTX_set_error(ctx, X509_V_ERR_CERT_REJECTED);
  return 0;
}

static void keylog(const SSL *ssl, const char *line) {
  const struct identity_watch *watch = watch_of(ssl);
  if (watch && watch->secret)
    watch->secret(watch->arg, line);
}

/* A client that offers one application protocol can speak no other, and some (gRPC in Go) hang up when it is not
 * confirmed. Among several we do not choose: what the program behind us speaks is not known here. */
static int select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                           unsigned in_len, void *arg) {
  (void)ssl;
  (void)arg;
  if (in_len < 2 || in[0] + 1u != in_len)
    return SSL_TLSEXT_ERR_NOACK;
  *out = in + 1;
  *out_len = in[0];
  return SSL_TLSEXT_ERR_OK;
}

/* ---- resumption ------------------------------------------------------------------------------------------ */

static int say_tickets(SSL *ssl, unsigned type, unsigned where, const unsigned char **out, size_t *len, X509 *x,
                       size_t i, int *alert, void *arg) {
  const struct identity_watch *watch = watch_of(ssl);
  unsigned n = watch && watch->tickets ? watch->tickets(watch->arg) : 0;
  (void)type, (void)where, (void)x, (void)i, (void)arg;
  if (n == 0)
    return 0;
  unsigned char *body = OPENSSL_malloc(2);
  if (!body) {
    *alert = SSL_AD_INTERNAL_ERROR;
    return -1;
  }
  body[0] = TICKETS_VERSION;
  body[1] = (unsigned char)(n < 255 ? n : 255);
  *out = body;
  *len = 2;
  return 1;
}

static void tickets_said(SSL *ssl, unsigned type, unsigned where, const unsigned char *out, void *arg) {
  (void)ssl, (void)type, (void)where, (void)arg;
  OPENSSL_free((void *)(uintptr_t)out);
}

/* Another version, or something else altogether: as if it had not been said. */
static int hear_tickets(SSL *ssl, unsigned type, unsigned where, const unsigned char *in, size_t len, X509 *x,
                        size_t i, int *alert, void *arg) {
  const struct identity_watch *watch = watch_of(ssl);
  (void)type, (void)where, (void)x, (void)i, (void)alert, (void)arg;
  if (watch && watch->tickets_heard && len == 2 && in[0] == TICKETS_VERSION)
    watch->tickets_heard(watch->arg, in[1]);
  return 1;
}

static int offer_session(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *len, SSL_SESSION **session) {
  const struct identity_watch *watch = watch_of(ssl);
  *session = watch && watch->offer ? watch->offer(watch->arg, md, id, len) : NULL;
  if (!*session) {
    *id = NULL;
    *len = 0;
  }
  return 1;
}

static int redeem_session(SSL *ssl, const unsigned char *id, size_t len, SSL_SESSION **session) {
  const struct identity_watch *watch = watch_of(ssl);
  *session = watch && watch->redeem ? watch->redeem(watch->arg, id, len) : NULL;
  return 1;
}

SSL_SESSION *identity_context_session(SSL *ssl, uint16_t cipher, const unsigned char *psk, size_t len) {
  const unsigned char number[2] = {(unsigned char)(cipher >> 8), (unsigned char)cipher};
  const SSL_CIPHER *suite = SSL_CIPHER_find(ssl, number);
  SSL_SESSION *session = suite ? SSL_SESSION_new() : NULL;
  if (session && SSL_SESSION_set1_master_key(session, psk, len) && SSL_SESSION_set_cipher(session, suite) &&
      SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION))
    return session;
  SSL_SESSION_free(session);
  return NULL;
}

static bool resumption(SSL_CTX *ctx, bool server) {
  if (server)
    SSL_CTX_set_psk_find_session_callback(ctx, redeem_session);
  else
    SSL_CTX_set_psk_use_session_callback(ctx, offer_session);
  return SSL_CTX_add_custom_ext(ctx, TICKETS_EXTENSION, SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS,
                                say_tickets, tickets_said, NULL, hear_tickets, NULL);
}

static bool protocol(SSL_CTX *ctx, bool server) {
  SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  /* Not built from the store: the chain is what the agent sent. */
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_read_ahead(ctx, 0); /* not a byte beyond the handshake may leave the kernel */
  SSL_CTX_set_max_cert_list(ctx, PEER_CHAIN_MAX);
  SSL_CTX_set_quiet_shutdown(ctx, 1);
  SSL_CTX_set_security_level(ctx, 2);
  if (server)
    SSL_CTX_set_alpn_select_cb(ctx, select_protocol, NULL);
  if (server && (!SSL_CTX_set_num_tickets(ctx, 0) ||
                 !SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"svidwrap", 8)))
    return false;
  return resumption(ctx, server) && SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) &&
         SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) && SSL_CTX_set_ciphersuites(ctx, CIPHERSUITES) &&
         SSL_CTX_set1_groups_list(ctx, GROUPS);
}

SSL_CTX *identity_context_new(struct identity *id, const struct identity_svid *svid, bool server, char *why,
                              size_t why_len) {
  SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
  pthread_once(&once, make_index);
  if (!ctx || watch_index < 0 || !protocol(ctx, server)) {
    identity_refuse(why, why_len, "out of memory");
    goto fail;
  }
  if (SSL_CTX_use_cert_and_key(ctx, svid->leaf, svid->key, svid->chain, 1) != 1) {
    const char *words = ERR_reason_error_string(ERR_peek_last_error());
    identity_refuse(why, why_len, "OpenSSL does not take the certificate and its key: %s", words ? words : "unknown");
    goto fail;
  }
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
  SSL_CTX_set_cert_verify_callback(ctx, verify_certificate, id);
  SSL_CTX_set_keylog_callback(ctx, keylog);
  return ctx;
fail:
  ERR_clear_error();
  SSL_CTX_free(ctx);
  return NULL;
}
