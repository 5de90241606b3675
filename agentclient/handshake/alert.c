/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alert.c - names of TLS alerts, and sending one that OpenSSL would not.
 *
 * OpenSSL derives its alert from a certificate error; for a peer that is who it says and not allowed there is none,
 * and a client's alert leaves in the clear. So the alert is sealed here, with the same code that seals records later.
 */
#include "internal.h"
#include "shim/record/record.h"

#include <openssl/crypto.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define ALERT_FATAL 2

static const struct {
  int alert;
  const char *name;
} names[] = {
    /* RFC 8446 section 6 */
    {0, "close_notify"},
    {10, "unexpected_message"},
    {20, "bad_record_mac"},
    {22, "record_overflow"},
    {40, "handshake_failure"},
    {42, "bad_certificate"},
    {43, "unsupported_certificate"},
    {44, "certificate_revoked"},
    {45, "certificate_expired"},
    {46, "certificate_unknown"},
    {47, "illegal_parameter"},
    {48, "unknown_ca"},
    {49, "access_denied"},
    {50, "decode_error"},
    {51, "decrypt_error"},
    {70, "protocol_version"},
    {71, "insufficient_security"},
    {80, "internal_error"},
    {86, "inappropriate_fallback"},
    {90, "user_canceled"},
    {109, "missing_extension"},
    {110, "unsupported_extension"},
    {112, "unrecognized_name"},
    {113, "bad_certificate_status_response"},
    {115, "unknown_psk_identity"},
    {116, "certificate_required"},
    {120, "no_application_protocol"},
};

const char *handshake_alert_name(int alert) {
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (names[i].alert == alert)
      return names[i].name;
  return "unknown_alert";
}

/* The keys that the peer expects our next record under. A server has just sent its Finished and writes application
 * records now; a client that refuses its server has sent nothing but a ClientHello, so its next record is the first
 * under the handshake keys. Either way the record's sequence number is 0: no record under that key has left. */
static bool next_key(const struct handshake *h, uint16_t cipher, struct arena_side *side) {
  bool server = h->request.role == ARENA_SERVER;
  const struct handshake_secrets *s = &h->secrets;
  memset(side, 0, sizeof *side);
  if (record_hash_len(cipher) == 0 || (server ? s->server_len : s->client_handshake_len) != record_hash_len(cipher))
    return false;
  memcpy(side->secret, server ? s->server : s->client_handshake, record_hash_len(cipher));
  return record_side_init(side, cipher) == RECORD_OK;
}

void handshake_alert_send(struct handshake *h, uint16_t cipher) {
  const uint8_t alert[2] = {ALERT_FATAL, (uint8_t)h->alert};
  const struct iovec iov = {.iov_base = (void *)(uintptr_t)alert, .iov_len = sizeof alert};
  struct arena_side side;
  struct record_ctx *ctx = NULL;
  if (next_key(h, cipher, &side))
    ctx = record_ctx_new(&side, cipher, 1);
  if (ctx) {
    uint8_t wire[sizeof alert + RECORD_OVERHEAD];
    int n = record_seal(ctx, &side, RECORD_ALERT, &iov, 1, 0, sizeof alert, wire);
    if (n > 0)
      (void)!send(h->io.fd, wire, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  record_ctx_free(ctx);
  OPENSSL_cleanse(&side, sizeof side);
}
