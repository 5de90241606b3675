/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ticket.c - a server's memory of a client, sealed (AES-256-GCM) and given to the client to bring back.
 *
 * Not OpenSSL's own tickets: those carry the peer's certificate, whose decoding costs more than a resumption saves
 * (docs/ARCHITECTURE.md, "Resumption"). What is in a ticket was written by ourselves; what comes in is a stranger's
 * until the tag says otherwise.
 *
 *   nonce 12 | sealed { from 8, until 8, svid 4, cipher 2, psk_len 1, 0 1, psk, SPIFFE ID } | tag 16
 */
#include "internal.h"
#include "ticket.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#define NONCE 12
#define TAG   16
#define FIXED 24u

/* What else the tag covers: which kind of ticket this is, and its version. */
static const unsigned char label[] = "svidwrap ticket 1";

struct ticket_key {
  uint8_t key[32];
};

struct ticket_key *ticket_key_new(void) {
  struct ticket_key *k = OPENSSL_malloc(sizeof *k);
  if (k && RAND_priv_bytes(k->key, sizeof k->key) == 1)
    return k;
  ticket_key_free(k);
  return NULL;
}

void ticket_key_free(struct ticket_key *k) { OPENSSL_clear_free(k, sizeof *k); }

/* ---- fields ---------------------------------------------------------------------------------------------- */

static uint8_t *put(uint8_t *p, uint64_t value, unsigned bytes) {
  while (bytes)
    *p++ = (uint8_t)(value >> (8 * --bytes));
  return p;
}

static uint64_t get(const uint8_t **p, unsigned bytes) {
  uint64_t value = 0;
  while (bytes--)
    value = value << 8 | *(*p)++;
  return value;
}

static size_t write_fields(const struct ticket_state *s, uint8_t *out) {
  uint8_t *p = out;
  p = put(p, (uint64_t)s->from, 8);
  p = put(p, (uint64_t)s->until, 8);
  p = put(p, s->svid, 4);
  p = put(p, s->cipher, 2);
  p = put(p, s->psk_len, 1);
  p = put(p, 0, 1);
  memcpy(p, s->psk, s->psk_len);
  p += s->psk_len;
  memcpy(p, s->peer.text, s->peer.len);
  return (size_t)(p - out) + s->peer.len;
}

static int read_fields(const uint8_t *in, size_t len, struct ticket_state *s) {
  const uint8_t *p = in;
  const char *why;
  if (len < FIXED)
    return -1;
  s->from = (time_t)get(&p, 8);
  s->until = (time_t)get(&p, 8);
  s->svid = (uint32_t)get(&p, 4);
  s->cipher = (uint16_t)get(&p, 2);
  s->psk_len = (uint8_t)get(&p, 1);
  p++;
  if (s->psk_len == 0 || s->psk_len > TICKET_PSK_MAX || len < FIXED + s->psk_len)
    return -1;
  memcpy(s->psk, p, s->psk_len);
  p += s->psk_len;
  return spiffeid_parse(&s->peer, (const char *)p, len - FIXED - s->psk_len, 1, &why);
}

/* ---- sealing --------------------------------------------------------------------------------------------- */

static bool seal(const struct ticket_key *k, const uint8_t *plain, int n, uint8_t *out) {
  EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
  int len = 0;
  bool ok = ctx && RAND_bytes(out, NONCE) == 1 && EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, k->key, out) &&
            EVP_EncryptUpdate(ctx, NULL, &len, label, sizeof label) &&
            EVP_EncryptUpdate(ctx, out + NONCE, &len, plain, n) && len == n &&
            EVP_EncryptFinal_ex(ctx, out + NONCE + n, &len) &&
            EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG, out + NONCE + n);
  EVP_CIPHER_CTX_free(ctx);
  return ok;
}

static bool unseal(const struct ticket_key *k, const uint8_t *in, int n, uint8_t *plain) {
  EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
  uint8_t tag[TAG];
  int len = 0;
  memcpy(tag, in + NONCE + n, TAG);
  bool ok = ctx && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, k->key, in) &&
            EVP_DecryptUpdate(ctx, NULL, &len, label, sizeof label) &&
            EVP_DecryptUpdate(ctx, plain, &len, in + NONCE, n) && len == n &&
            EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG, tag) &&
            EVP_DecryptFinal_ex(ctx, plain + n, &len) == 1;
  EVP_CIPHER_CTX_free(ctx);
  return ok;
}

int ticket_seal(const struct identity *id, const struct ticket_state *s, uint8_t *out) {
  uint8_t plain[TICKET_MAX];
  if (s->psk_len == 0 || s->psk_len > TICKET_PSK_MAX || s->peer.len == 0 || s->peer.len > SPIFFEID_MAX)
    return -1;
  size_t n = write_fields(s, plain);
  bool ok = seal(id->ticket_key, plain, (int)n, out);
  OPENSSL_cleanse(plain, n);
  return ok ? (int)(NONCE + n + TAG) : -1;
}

int ticket_open(const struct identity *id, uint32_t svid, const uint8_t *ticket, size_t len, struct ticket_state *s) {
  uint8_t plain[TICKET_MAX];
  memset(s, 0, sizeof *s);
  if (len < NONCE + FIXED + TAG || len > TICKET_MAX)
    return -1;
  size_t n = len - NONCE - TAG;
  int rc = unseal(id->ticket_key, ticket, (int)n, plain) && read_fields(plain, n, s) == 0 && s->svid == svid ? 0 : -1;
  OPENSSL_cleanse(plain, n);
  if (rc != 0)
    OPENSSL_cleanse(s, sizeof *s);
  return rc;
}
