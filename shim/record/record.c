/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.c - TLS 1.3 record protection over OpenSSL's AEADs (RFC 8446 sections 5.2 to 5.5 and 7.3).
 *
 * A library context of its own keeps it apart from whatever else uses libcrypto in the process: no
 * openssl.cnf is read, no provider but the built-in one is loaded, nothing runs at exit. All algorithms
 * are fetched once; sealing and opening allocate nothing and take no lock.
 * It never sees a socket, and it never leaves plaintext of a record that did not authenticate.
 */
#include "record.h"

#ifdef SHIM
#include "provider.h"
#endif

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/provider.h>

#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/uio.h>

#define HASH_MAX  48u
#define NONCE_LEN 12u
/* RFC 8446 section 5.5: 2^24.5 full-size records for AES-GCM. ChaCha20-Poly1305 wraps first. */
#define GCM_RECORDS 23726566u
/* Records that may still be sealed once a side counts as worn: the KeyUpdate, or an alert. */
#define WORN_SPARE 16u
/* Up to here the content is copied beside its type byte and encrypted in one call: cheaper than two. */
#define GATHER_MAX 2048u

struct suite {
  uint16_t id;
  uint8_t hash_len, key_len;
  uint8_t hmac; /* index into crypto.hmac */
  const char *name;
};

static const struct suite suites[] = {
    {ARENA_AES_128_GCM_SHA256, 32, 16, 0, "AES-128-GCM"},
    {ARENA_AES_256_GCM_SHA384, 48, 32, 1, "AES-256-GCM"},
    {ARENA_CHACHA20_POLY1305_SHA256, 32, 32, 0, "ChaCha20-Poly1305"},
};
#define SUITES (sizeof suites / sizeof suites[0])

static struct {
  bool ready;
  OSSL_LIB_CTX *lib;
  OSSL_PROVIDER *provider;
  EVP_CIPHER *cipher[SUITES];
  EVP_MAC *mac;
  EVP_MAC_CTX *hmac[2]; /* templates, duplicated for each use: a digest is fetched only here */
} crypto;
static pthread_once_t crypto_once = PTHREAD_ONCE_INIT;

struct record_ctx {
  EVP_CIPHER_CTX *evp;
  uint64_t limit; /* sequence numbers at and above are never sealed */
};

static EVP_MAC_CTX *hmac_template(char *digest) {
  OSSL_PARAM params[2] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                          OSSL_PARAM_construct_end()};
  EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(crypto.mac);
  if (ctx && EVP_MAC_CTX_set_params(ctx, params))
    return ctx;
  EVP_MAC_CTX_free(ctx);
  return NULL;
}

static void crypto_setup(void) {
  char sha256[] = "SHA256", sha384[] = "SHA384";
#ifdef SHIM
  record_provider_wanted();
#endif
  if (!OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT | OPENSSL_INIT_NO_LOAD_CONFIG, NULL))
    return;
  crypto.lib = OSSL_LIB_CTX_new();
  if (!crypto.lib)
    return;
  crypto.provider = OSSL_PROVIDER_load(crypto.lib, "default");
  if (!crypto.provider)
    return;
  for (size_t i = 0; i < SUITES; i++) {
    crypto.cipher[i] = EVP_CIPHER_fetch(crypto.lib, suites[i].name, NULL);
    if (!crypto.cipher[i])
      return;
  }
  crypto.mac = EVP_MAC_fetch(crypto.lib, "HMAC", NULL);
  if (!crypto.mac)
    return;
  crypto.hmac[0] = hmac_template(sha256);
  crypto.hmac[1] = hmac_template(sha384);
  crypto.ready = crypto.hmac[0] && crypto.hmac[1];
}

static bool crypto_ready(void) {
  pthread_once(&crypto_once, crypto_setup);
  return crypto.ready;
}

static const struct suite *suite_find(uint16_t cipher) {
  for (size_t i = 0; i < SUITES; i++)
    if (suites[i].id == cipher)
      return &suites[i];
  return NULL;
}

unsigned record_hash_len(uint16_t cipher) {
  const struct suite *s = suite_find(cipher);
  return s ? s->hash_len : 0;
}

unsigned record_key_len(uint16_t cipher) {
  const struct suite *s = suite_find(cipher);
  return s ? s->key_len : 0;
}

/* HKDF-Expand-Label(secret, label, "", out_len) of RFC 8446 section 7.1. out_len is at most the hash's
 * length, so that HKDF-Expand is one HMAC. */
static int expand_label(const struct suite *s, const uint8_t *secret, const char *label, uint8_t *out,
                        size_t out_len) {
  uint8_t info[2 + 1 + 32 + 1 + 1], block[HASH_MAX];
  size_t label_len = strlen(label), n = 0, got = 0;
  int rc = RECORD_INTERNAL;

  info[n++] = 0;
  info[n++] = (uint8_t)out_len;
  info[n++] = (uint8_t)(6 + label_len);
  memcpy(info + n, "tls13 ", 6);
  memcpy(info + n + 6, label, label_len);
  n += 6 + label_len;
  info[n++] = 0; /* no context */
  info[n++] = 1; /* T(1) */

  EVP_MAC_CTX *mac = EVP_MAC_CTX_dup(crypto.hmac[s->hmac]);
  if (mac && EVP_MAC_init(mac, secret, s->hash_len, NULL) && EVP_MAC_update(mac, info, n) &&
      EVP_MAC_final(mac, block, &got, sizeof block) && got == s->hash_len && out_len <= got) {
    memcpy(out, block, out_len);
    rc = RECORD_OK;
  }
  EVP_MAC_CTX_free(mac);
  OPENSSL_cleanse(block, sizeof block);
  return rc;
}

int record_side_init(struct arena_side *side, uint16_t cipher) {
  const struct suite *s = suite_find(cipher);
  if (!s || !crypto_ready())
    return RECORD_INTERNAL;
  int rc = expand_label(s, side->secret, "key", side->key, s->key_len);
  if (!rc)
    rc = expand_label(s, side->secret, "iv", side->iv, sizeof side->iv);
  side->seq = 0;
  return rc;
}

int record_side_update(struct arena_side *side, uint16_t cipher) {
  const struct suite *s = suite_find(cipher);
  uint8_t next[ARENA_SECRET_MAX];
  if (!s || !crypto_ready())
    return RECORD_INTERNAL;
  int rc = expand_label(s, side->secret, "traffic upd", next, s->hash_len);
  if (!rc) {
    memcpy(side->secret, next, s->hash_len);
    side->epoch++;
    rc = record_side_init(side, cipher);
  }
  OPENSSL_cleanse(next, sizeof next);
  return rc;
}

static uint64_t seal_limit(uint16_t cipher) {
  return cipher == ARENA_CHACHA20_POLY1305_SHA256 ? UINT64_MAX : GCM_RECORDS;
}

int record_side_worn(const struct arena_side *side, uint16_t cipher) {
  return side->seq >= seal_limit(cipher) - WORN_SPARE;
}

struct record_ctx *record_ctx_new(const struct arena_side *side, uint16_t cipher, int seal) {
  const struct suite *s = suite_find(cipher);
  if (!s || !crypto_ready())
    return NULL;
  struct record_ctx *ctx = OPENSSL_zalloc(sizeof *ctx);
  if (!ctx)
    return NULL;
  ctx->limit = seal_limit(cipher);
  ctx->evp = EVP_CIPHER_CTX_new();
  if (!ctx->evp || !EVP_CipherInit_ex2(ctx->evp, crypto.cipher[s - suites], side->key, side->iv, seal != 0, NULL)) {
    record_ctx_free(ctx);
    return NULL;
  }
  return ctx;
}

void record_ctx_free(struct record_ctx *ctx) {
  if (!ctx)
    return;
  EVP_CIPHER_CTX_free(ctx->evp); /* cleanses the key schedule */
  OPENSSL_free(ctx);
}

int record_length(const uint8_t *header, size_t have) {
  if (have < RECORD_HEADER)
    return RECORD_SHORT;
  /* RFC 8446 section 5.2: the version field is ignored; the outer type is application_data throughout
   * (change_cipher_spec is tolerated during the handshake only). */
  if (header[0] != RECORD_DATA)
    return RECORD_UNEXPECTED;
  unsigned n = (unsigned)header[3] << 8 | header[4];
  if (n > RECORD_PLAIN_MAX + 256)
    return RECORD_OVERFLOW;
  if (n < RECORD_TAG)
    return RECORD_BAD_MAC;
  return (int)(RECORD_HEADER + n);
}

/* Section 5.3: the sequence number, padded on the left, xored into the IV. */
static void make_nonce(const struct arena_side *side, uint8_t nonce[NONCE_LEN]) {
  memcpy(nonce, side->iv, NONCE_LEN);
  for (unsigned i = 0; i < 8; i++)
    nonce[NONCE_LEN - 1 - i] ^= (uint8_t)(side->seq >> (8 * i));
}

/* ---- the AEAD: init, any number of updates, final ------------------------------------------------- */
#ifndef RECORD_FUZZ_AEAD
static bool aead_begin(struct record_ctx *ctx, const struct arena_side *side, const uint8_t *aad, int seal) {
  uint8_t nonce[NONCE_LEN];
  int n;
  make_nonce(side, nonce);
  return EVP_CipherInit_ex2(ctx->evp, NULL, NULL, nonce, seal, NULL) &&
         EVP_CipherUpdate(ctx->evp, NULL, &n, aad, (int)RECORD_HEADER);
}

static bool aead_update(struct record_ctx *ctx, uint8_t *out, const uint8_t *in, size_t len) {
  int n;
  return len == 0 || (EVP_CipherUpdate(ctx->evp, out, &n, in, (int)len) && (size_t)n == len);
}

static bool aead_tag(struct record_ctx *ctx, uint8_t *tag) {
  int n;
  return EVP_EncryptFinal_ex(ctx->evp, tag, &n) &&
         EVP_CIPHER_CTX_ctrl(ctx->evp, EVP_CTRL_AEAD_GET_TAG, (int)RECORD_TAG, tag) > 0;
}

static bool aead_verify(struct record_ctx *ctx, const uint8_t *tag) {
  uint8_t expect[RECORD_TAG], none[RECORD_TAG];
  int n;
  memcpy(expect, tag, RECORD_TAG); /* the interface wants it writable */
  return EVP_CIPHER_CTX_ctrl(ctx->evp, EVP_CTRL_AEAD_SET_TAG, (int)RECORD_TAG, expect) > 0 &&
         EVP_DecryptFinal_ex(ctx->evp, none, &n) > 0;
}
#else
/* For fuzzers only: ciphertext is plaintext, and a tag is good unless it begins with 0xba, so that a
 * fuzzer reaches what lies behind the cryptography, and the failing branch as well. */
static bool aead_begin(struct record_ctx *ctx, const struct arena_side *side, const uint8_t *aad, int seal) {
  uint8_t nonce[NONCE_LEN];
  make_nonce(side, nonce);
  return ctx && aad && seal <= 1;
}
static bool aead_update(struct record_ctx *ctx, uint8_t *out, const uint8_t *in, size_t len) {
  if (len)
    memmove(out, in, len);
  return ctx != NULL;
}
static bool aead_tag(struct record_ctx *ctx, uint8_t *tag) {
  memset(tag, 0, RECORD_TAG);
  return ctx != NULL;
}
static bool aead_verify(struct record_ctx *ctx, const uint8_t *tag) { return ctx && tag[0] != 0xba; }
#endif

/* Where a record's inner plaintext goes: out, then more, and what neither can hold is looked at and
 * forgotten (it can only be padding). */
struct opened {
  uint8_t *out, *more;
  size_t out_len, more_len;
  size_t content; /* offset of the last byte that is not zero: where the type byte is */
  uint8_t type;   /* that byte; 0: none seen */
};

static void look_for_type(struct opened *o, const uint8_t *p, size_t len, size_t base) {
  for (size_t i = len; i > 0; i--) {
    if (p[i - 1] != 0) {
      o->type = p[i - 1];
      o->content = base + i - 1;
      return;
    }
  }
}

/* Decrypts the inner plaintext of n bytes into its places. The type byte never lands in out behind the
 * content: programs clear a buffer, read into it and take it for a string. */
static bool open_body(struct record_ctx *ctx, struct opened *o, const uint8_t *body, size_t n) {
  uint8_t tail[256];
  bool ok = true;

  if (n <= o->out_len) {
    uint8_t kept = o->out[n - 1];
    ok = aead_update(ctx, o->out, body, n);
    look_for_type(o, o->out, n, 0);
    o->out[n - 1] = kept; /* where it was content after all, there is padding behind it and it is 0 */
    if (o->content != n - 1 && o->type)
      o->out[n - 1] = 0;
    return ok;
  }
  size_t first = o->out_len, second = n - first < o->more_len ? n - first : o->more_len;
  ok = aead_update(ctx, o->out, body, first) && aead_update(ctx, o->more, body + first, second);
  for (size_t at = first + second; ok && at < n;) {
    size_t step = n - at < sizeof tail ? n - at : sizeof tail;
    ok = aead_update(ctx, tail, body + at, step);
    look_for_type(o, tail, step, at);
    at += step;
  }
  OPENSSL_cleanse(tail, sizeof tail);
  if (!o->type)
    look_for_type(o, o->more, second, first);
  if (!o->type)
    look_for_type(o, o->out, first, 0);
  return ok;
}

/* Wipes what a record that was refused left behind. */
static void open_wipe(struct opened *o, size_t n) {
  size_t first = n < o->out_len ? n : o->out_len;
  if (first)
    OPENSSL_cleanse(o->out, first);
  if (n > first && o->more_len)
    OPENSSL_cleanse(o->more, n - first < o->more_len ? n - first : o->more_len);
}

int record_open(struct record_ctx *ctx, struct arena_side *side, const uint8_t *rec, size_t len, uint8_t *out,
                size_t out_len, uint8_t *more, size_t more_len, uint8_t *type) {
  int wire = record_length(rec, len);
  if (wire < 0)
    return wire;
  if ((size_t)wire != len)
    return RECORD_SHORT;
  size_t n = len - RECORD_HEADER - RECORD_TAG;
  /* Section 5.4: padding does not raise the limit of 2^14 + 1 for the encoded inner plaintext. */
  if (n > RECORD_PLAIN_MAX + 1)
    return RECORD_OVERFLOW;
  if (side->seq == UINT64_MAX)
    return RECORD_EXHAUSTED;

  struct opened o = {.out = out, .more = more, .out_len = out ? out_len : 0, .more_len = more ? more_len : 0};
  if (!aead_begin(ctx, side, rec, 0))
    return RECORD_INTERNAL;
  bool ok = n == 0 || open_body(ctx, &o, rec + RECORD_HEADER, n);
  int rc = RECORD_OK;
  if (!ok)
    rc = RECORD_INTERNAL;
  else if (!aead_verify(ctx, rec + len - RECORD_TAG))
    rc = RECORD_BAD_MAC;
  else if (o.type == 0)
    rc = RECORD_UNEXPECTED;
  else if (o.content > o.out_len + o.more_len)
    rc = RECORD_INTERNAL; /* the caller promised room for it */
  if (rc) {
    open_wipe(&o, n);
    return rc;
  }
  side->seq++;
  *type = o.type;
  /* The type byte itself, where it fell into the caller's buffer in front of padding. */
  if (o.content < o.out_len && o.content < n - 1)
    o.out[o.content] = 0;
  return (int)o.content;
}

/* Encrypts n bytes from the pieces, and the type byte behind them. Large content goes from the caller's
 * memory to out in one pass. */
static bool seal_body(struct record_ctx *ctx, uint8_t type, const struct iovec *iov, int iovcnt, size_t skip,
                      size_t n, uint8_t *out) {
  size_t at = 0;
  bool ok = true;
  for (int i = 0; i < iovcnt && at < n && ok; i++) {
    if (skip >= iov[i].iov_len) {
      skip -= iov[i].iov_len;
      continue;
    }
    const uint8_t *p = (const uint8_t *)iov[i].iov_base + skip;
    size_t step = iov[i].iov_len - skip;
    skip = 0;
    if (step > n - at)
      step = n - at;
    if (n <= GATHER_MAX)
      memcpy(out + at, p, step);
    else
      ok = aead_update(ctx, out + at, p, step);
    at += step;
  }
  if (!ok || at != n)
    return false;
  out[n] = type;
  if (n <= GATHER_MAX)
    return aead_update(ctx, out, out, n + 1);
  return aead_update(ctx, out + n, out + n, 1);
}

int record_seal(struct record_ctx *ctx, struct arena_side *side, uint8_t type, const struct iovec *iov, int iovcnt,
                size_t skip, size_t n, uint8_t *out) {
  if (n > RECORD_PLAIN_MAX)
    return RECORD_OVERFLOW;
  if (side->seq >= ctx->limit)
    return RECORD_EXHAUSTED;
  size_t inner = n + 1 + RECORD_TAG;
  out[0] = RECORD_DATA;
  out[1] = 3;
  out[2] = 3;
  out[3] = (uint8_t)(inner >> 8);
  out[4] = (uint8_t)inner;
  if (!aead_begin(ctx, side, out, 1) || !seal_body(ctx, type, iov, iovcnt, skip, n, out + RECORD_HEADER) ||
      !aead_tag(ctx, out + RECORD_HEADER + n + 1)) {
    OPENSSL_cleanse(out, n + RECORD_OVERHEAD);
    return RECORD_INTERNAL;
  }
  side->seq++;
  return (int)(n + RECORD_OVERHEAD);
}
