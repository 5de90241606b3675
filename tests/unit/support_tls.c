/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support_tls.c - see support_tls.h. Keys and certificate are made up for each run; nobody verifies them.
 */
#include "support_tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define MUST(x)                                                                                                      \
  do {                                                                                                               \
    if (!(x)) {                                                                                                      \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                                                        \
      ERR_print_errors_fp(stderr);                                                                                   \
      abort();                                                                                                       \
    }                                                                                                                \
  } while (0)

static EVP_PKEY *key;
static X509 *cert;

static void make_cert(void) {
  if (cert)
    return;
  MUST(key = EVP_EC_gen("P-256"));
  MUST(cert = X509_new());
  ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
  X509_gmtime_adj(X509_getm_notBefore(cert), -60);
  X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
  X509_set_pubkey(cert, key);
  MUST(X509_sign(cert, key, EVP_sha256()));
}

static void from_hex(uint8_t *out, const char *hex) {
  for (size_t i = 0; hex[2 * i] && i < ARENA_SECRET_MAX; i++) {
    unsigned v = 0;
    if (sscanf(hex + 2 * i, "%2x", &v) != 1)
      return;
    out[i] = (uint8_t)v;
  }
}

static void keylog(const SSL *ssl, const char *line) {
  struct tls_pair *p = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
  const char *secret = strrchr(line, ' ') + 1;
  if (strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24) == 0)
    from_hex(p->client_secret, secret);
  if (strncmp(line, "SERVER_TRAFFIC_SECRET_0 ", 24) == 0)
    from_hex(p->server_secret, secret);
}

void tls_pair_open(struct tls_pair *p, uint16_t cipher, int tickets) {
  make_cert();
  memset(p, 0, sizeof *p);
  p->cipher = cipher;
  const char *suite = cipher == ARENA_AES_128_GCM_SHA256   ? "TLS_AES_128_GCM_SHA256"
                      : cipher == ARENA_AES_256_GCM_SHA384 ? "TLS_AES_256_GCM_SHA384"
                                                           : "TLS_CHACHA20_POLY1305_SHA256";
  MUST(p->client_ctx = SSL_CTX_new(TLS_client_method()));
  MUST(p->server_ctx = SSL_CTX_new(TLS_server_method()));
  MUST(SSL_CTX_set_ciphersuites(p->client_ctx, suite) && SSL_CTX_set_ciphersuites(p->server_ctx, suite));
  MUST(SSL_CTX_set_min_proto_version(p->client_ctx, TLS1_3_VERSION));
  MUST(SSL_CTX_use_certificate(p->server_ctx, cert) && SSL_CTX_use_PrivateKey(p->server_ctx, key));
  SSL_CTX_set_num_tickets(p->server_ctx, (size_t)tickets);
  SSL_CTX_set_app_data(p->server_ctx, (void *)p);
  SSL_CTX_set_keylog_callback(p->server_ctx, keylog);
  MUST(p->client = SSL_new(p->client_ctx));
  MUST(p->server = SSL_new(p->server_ctx));
  BIO *a = BIO_new(BIO_s_mem()), *b = BIO_new(BIO_s_mem());
  MUST(a && b && BIO_up_ref(a) && BIO_up_ref(b));
  SSL_set_bio(p->client, a, b);
  SSL_set_bio(p->server, b, a);
  SSL_set_connect_state(p->client);
  SSL_set_accept_state(p->server);
  int c = 0, s = 0;
  for (int i = 0; i < 10 && !(c == 1 && s == 1); i++) {
    c = SSL_do_handshake(p->client);
    s = SSL_do_handshake(p->server);
  }
  MUST(c == 1 && s == 1);
}

void tls_pair_close(struct tls_pair *p) {
  SSL_free(p->client);
  SSL_free(p->server);
  SSL_CTX_free(p->client_ctx);
  SSL_CTX_free(p->server_ctx);
}

void tls_pair_slot(const struct tls_pair *p, struct arena_slot *slot, enum arena_role role) {
  slot->magic = ARENA_SLOT_MAGIC;
  slot->use = 7;
  slot->cipher = p->cipher;
  slot->role = (uint8_t)role;
  memcpy(slot->rx.secret, role == ARENA_CLIENT ? p->server_secret : p->client_secret, ARENA_SECRET_MAX);
  memcpy(slot->tx.secret, role == ARENA_CLIENT ? p->client_secret : p->server_secret, ARENA_SECRET_MAX);
  slot->state = ARENA_READY;
}

SSL *tls_pair_peer(struct tls_pair *p, enum arena_role local) {
  return local == ARENA_CLIENT ? p->server : p->client;
}

void tls_pair_socket(SSL *peer, int fd) {
  char buf[4096];
  int n;
  while ((n = BIO_read(SSL_get_wbio(peer), buf, sizeof buf)) > 0)
    MUST(send(fd, buf, (size_t)n, MSG_NOSIGNAL) == n);
  MUST(SSL_set_fd(peer, fd));
}
