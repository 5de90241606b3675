/* SPDX-License-Identifier: Apache-2.0 */
/*
 * failure.c - puts a failed handshake into words: whose fault it was, and what an operator should look at.
 *
 * Nothing that a stranger sent is printed but the first five bytes, in hexadecimal.
 */
#include "internal.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <stdio.h>
#include <string.h>

static const struct {
  int reason; /* SSL_R_... */
  enum handshake_outcome outcome;
  const char *words;
} known[] = {
    {SSL_R_UNSUPPORTED_PROTOCOL, HANDSHAKE_NOT_TLS, "peer offers no TLS 1.3"},
    {SSL_R_WRONG_SSL_VERSION, HANDSHAKE_NOT_TLS, "peer offers no TLS 1.3"},
    {SSL_R_VERSION_TOO_LOW, HANDSHAKE_NOT_TLS, "peer offers no TLS 1.3"},
    {SSL_R_NO_SHARED_CIPHER, HANDSHAKE_NOT_TLS, "peer offers none of our cipher suites"},
    {SSL_R_NO_SUITABLE_KEY_SHARE, HANDSHAKE_NOT_TLS, "peer offers neither X25519 nor P-256"},
    {SSL_R_NO_SUITABLE_GROUPS, HANDSHAKE_NOT_TLS, "peer offers neither X25519 nor P-256"},
    {SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, HANDSHAKE_NOT_TLS,
     "peer accepts no signature that the key of our SVID can make"},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, HANDSHAKE_UNVERIFIED, "peer sent no certificate"},
    {SSL_R_BAD_SIGNATURE, HANDSHAKE_UNVERIFIED, "peer does not hold the key of the certificate it sent"},
    {SSL_R_EXCESSIVE_MESSAGE_SIZE, HANDSHAKE_UNVERIFIED, "certificates of the peer are longer than 100 KB"},
    {SSL_R_CERT_LENGTH_MISMATCH, HANDSHAKE_UNVERIFIED, "certificate of the peer is malformed"},
    {SSL_R_UNKNOWN_CERTIFICATE_TYPE, HANDSHAKE_UNVERIFIED, "key of the peer's certificate is of an unknown kind"},
    {SSL_R_EE_KEY_TOO_SMALL, HANDSHAKE_UNVERIFIED, "key of the peer's certificate is too small"},
    {ERR_R_MALLOC_FAILURE, HANDSHAKE_INTERNAL, "out of memory"},
    {ERR_R_INTERNAL_ERROR, HANDSHAKE_INTERNAL, "internal error of OpenSSL"},
};

static enum handshake_outcome foreign(const struct handshake *h, char *reason, size_t len) {
  char hex[3 * sizeof h->io.first + 1] = "";
  for (size_t i = 0; i < h->io.first_len; i++)
    snprintf(hex + 3 * i, sizeof hex - 3 * i, " %02x", h->io.first[i]);
  snprintf(reason, len, "plaintext or not TLS: first bytes%s", hex);
  return HANDSHAKE_NOT_TLS;
}

static enum handshake_outcome closed(const struct handshake *h, char *reason, size_t len) {
  if (h->io.error)
    snprintf(reason, len, "connection lost during the handshake: %s", strerrordesc_np(h->io.error));
  else
    snprintf(reason, len,
             h->io.received ? "peer closed the connection during the handshake"
                            : "peer closed the connection without a byte");
  return HANDSHAKE_PEER_CLOSED;
}

/* An alert about us; protocol_version is the answer of a peer that is too old to have an opinion. */
static enum handshake_outcome alerted(int alert, char *reason, size_t len) {
  if (alert == SSL_AD_PROTOCOL_VERSION) {
    snprintf(reason, len, "peer offers no TLS 1.3 (alert protocol_version)");
    return HANDSHAKE_NOT_TLS;
  }
  snprintf(reason, len, "refused by the peer: alert %s", handshake_alert_name(alert));
  return HANDSHAKE_PEER_REFUSED;
}

static enum handshake_outcome explained(unsigned long error, char *reason, size_t len) {
  int code = ERR_GET_REASON(error);
  if (ERR_GET_LIB(error) == ERR_LIB_SSL && code >= SSL_AD_REASON_OFFSET && code < SSL_AD_REASON_OFFSET + 256)
    return alerted(code - SSL_AD_REASON_OFFSET, reason, len);
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    if (known[i].reason == code && (ERR_GET_LIB(error) == ERR_LIB_SSL || known[i].outcome == HANDSHAKE_INTERNAL)) {
      snprintf(reason, len, "%s", known[i].words);
      return known[i].outcome;
    }
  }
  return HANDSHAKE_OK; /* not one that we know */
}

enum handshake_outcome handshake_failure(struct handshake *h, int ssl_error, char *reason, size_t len) {
  unsigned long first = ERR_peek_error(), error;
  if (h->io.foreign)
    return foreign(h, reason, len);
  while ((error = ERR_get_error()) != 0) {
    enum handshake_outcome outcome = explained(error, reason, len);
    if (outcome != HANDSHAKE_OK) {
      ERR_clear_error();
      return outcome;
    }
  }
  if (h->io.error == ENOMEM) {
    snprintf(reason, len, "out of memory");
    return HANDSHAKE_INTERNAL;
  }
  if (h->io.eof || h->io.error || ssl_error == SSL_ERROR_ZERO_RETURN)
    return closed(h, reason, len);
  const char *words = first ? ERR_reason_error_string(first) : NULL;
  snprintf(reason, len, "TLS protocol error: %s", words ? words : "unexplained");
  return HANDSHAKE_NOT_TLS;
}
