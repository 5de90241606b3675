/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does shim/record speak the TLS 1.3 record protocol? Proved on the published traffic of RFC 8448, against
 * OpenSSL in both roles with every cipher, and on every way a record can be malformed.
 */
#include "shim/record/record.h"
#include "support_tls.h"

#include <openssl/evp.h>

#include <setjmp.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include <cmocka.h>

static const uint16_t ciphers[] = {ARENA_AES_128_GCM_SHA256, ARENA_AES_256_GCM_SHA384,
                                   ARENA_CHACHA20_POLY1305_SHA256};

static size_t unhex(uint8_t *out, const char *hex) {
  size_t n = 0;
  for (; *hex; hex++) {
    if (*hex == ' ')
      continue;
    char two[3] = {hex[0], hex[1], 0};
    out[n++] = (uint8_t)strtoul(two, NULL, 16);
    hex++;
  }
  return n;
}

/* ---- RFC 8448 section 3, "Simple 1-RTT Handshake" -------------------------------------------------- */
#define CLIENT_SECRET "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5"
#define SERVER_SECRET "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643"
#define CLIENT_DATA                                                                                                  \
  "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a6292a2" \
  "977014bd1e3deae63aeebb21694915e4"
#define SERVER_DATA                                                                                                  \
  "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8fcc49c4bf2e5f0a2" \
  "1c0047c2abf332540dd032e167c2955d"
#define CLIENT_ALERT "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3"
#define SERVER_ALERT "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9"

static void side_from(struct arena_side *side, const char *secret, uint64_t seq) {
  memset(side, 0, sizeof *side);
  unhex(side->secret, secret);
  assert_int_equal(record_side_init(side, ARENA_AES_128_GCM_SHA256), 0);
  side->seq = seq;
}

static void check_published(const char *secret, uint64_t seq, const char *data, const char *alert) {
  struct arena_side rx, tx;
  uint8_t wire[128], got[128], want[50], type = 0;
  for (unsigned i = 0; i < sizeof want; i++)
    want[i] = (uint8_t)i;

  side_from(&rx, secret, seq);
  side_from(&tx, secret, seq);
  struct record_ctx *open = record_ctx_new(&rx, ARENA_AES_128_GCM_SHA256, 0);
  struct record_ctx *seal = record_ctx_new(&tx, ARENA_AES_128_GCM_SHA256, 1);
  size_t len = unhex(wire, data);
  assert_int_equal(record_length(wire, len), len);
  assert_int_equal(record_open(open, &rx, wire, len, got, sizeof got, NULL, 0, &type), 50);
  assert_int_equal(type, RECORD_DATA);
  assert_memory_equal(got, want, 50);
  struct iovec iov = {want, sizeof want};
  assert_int_equal(record_seal(seal, &tx, RECORD_DATA, &iov, 1, 0, 50, got), len);
  assert_memory_equal(got, wire, len);

  len = unhex(wire, alert);
  assert_int_equal(record_open(open, &rx, wire, len, got, sizeof got, NULL, 0, &type), 2);
  assert_int_equal(type, RECORD_ALERT);
  assert_int_equal(got[0], 1);
  assert_int_equal(got[1], 0);
  uint8_t close_notify[2] = {1, 0};
  iov = (struct iovec){close_notify, 2};
  assert_int_equal(record_seal(seal, &tx, RECORD_ALERT, &iov, 1, 0, 2, got), len);
  assert_memory_equal(got, wire, len);
  record_ctx_free(open);
  record_ctx_free(seal);
}

static void test_rfc8448_keys(void **state) {
  (void)state;
  struct arena_side side;
  uint8_t want[16];
  side_from(&side, CLIENT_SECRET, 0);
  unhex(want, "17422dda596ed5d9acd890e3c63f5051");
  assert_memory_equal(side.key, want, 16);
  unhex(want, "5b78923dee08579033e523d9");
  assert_memory_equal(side.iv, want, 12);
  side_from(&side, SERVER_SECRET, 0);
  unhex(want, "9f02283b6c9c07efc26bb9f2ac92e356");
  assert_memory_equal(side.key, want, 16);
  unhex(want, "cf782b88dd83549aadf1e984");
  assert_memory_equal(side.iv, want, 12);
}

/* The server's record 0 is its session ticket. */
static void test_rfc8448_traffic(void **state) {
  (void)state;
  check_published(CLIENT_SECRET, 0, CLIENT_DATA, CLIENT_ALERT);
  check_published(SERVER_SECRET, 1, SERVER_DATA, SERVER_ALERT);
}

/* ---- against OpenSSL ------------------------------------------------------------------------------- */
struct ours {
  struct tls_pair pair;
  struct arena_slot slot;
  struct record_ctx *rx, *tx;
  SSL *peer;
};

static void ours_open(struct ours *o, uint16_t cipher, enum arena_role role) {
  memset(o, 0, sizeof *o);
  tls_pair_open(&o->pair, cipher, 0);
  tls_pair_slot(&o->pair, &o->slot, role);
  assert_int_equal(record_side_init(&o->slot.rx, cipher), 0);
  assert_int_equal(record_side_init(&o->slot.tx, cipher), 0);
  o->rx = record_ctx_new(&o->slot.rx, cipher, 0);
  o->tx = record_ctx_new(&o->slot.tx, cipher, 1);
  assert_non_null(o->rx);
  assert_non_null(o->tx);
  o->peer = tls_pair_peer(&o->pair, role);
}

static void ours_close(struct ours *o) {
  record_ctx_free(o->rx);
  record_ctx_free(o->tx);
  tls_pair_close(&o->pair);
}

static size_t fill(uint8_t *p, size_t max) {
  size_t n = (size_t)random() % 4 ? (size_t)random() % 300 + 1 : (size_t)random() % max + 1;
  for (size_t i = 0; i < n; i++)
    p[i] = (uint8_t)random();
  return n;
}

/* The peer writes, we take the wire in random pieces and open each record with its content split at random
 * between the two places. */
static void openssl_to_us(struct ours *o) {
  static uint8_t data[40000], wire[RECORD_WIRE_MAX], out[RECORD_PLAIN_MAX + 64], more[RECORD_PLAIN_MAX + 64];
  size_t n = fill(data, sizeof data), have = 0, at = 0;
  assert_int_equal(SSL_write(o->peer, data, (int)n), n);
  while (at < n) {
    int len = record_length(wire, have);
    if (len == RECORD_SHORT || (size_t)len > have) {
      size_t want = len == RECORD_SHORT ? RECORD_HEADER - have : (size_t)len - have;
      want = (size_t)random() % want + 1;
      assert_int_equal(BIO_read(SSL_get_wbio(o->peer), wire + have, (int)want), want);
      have += want;
      continue;
    }
    size_t content = (size_t)len - RECORD_OVERHEAD, first = (size_t)random() % (content + 40);
    uint8_t type = 0;
    memset(out, 0xee, sizeof out);
    int got = record_open(o->rx, &o->slot.rx, wire, have, out, first, more, sizeof more, &type);
    assert_int_equal(got, content);
    assert_int_equal(type, RECORD_DATA);
    size_t head = first < content ? first : content;
    assert_memory_equal(out, data + at, head);
    assert_memory_equal(more, data + at + head, content - head);
    assert_int_equal(out[head], 0xee); /* not a byte behind what was asked for, the type byte least of all */
    at += content;
    have = 0;
  }
  assert_int_equal(BIO_pending(SSL_get_wbio(o->peer)), 0);
}

static void us_to_openssl(struct ours *o) {
  static uint8_t data[RECORD_PLAIN_MAX], wire[RECORD_PLAIN_MAX + RECORD_OVERHEAD], got[RECORD_PLAIN_MAX];
  size_t n = fill(data, sizeof data), a = (size_t)random() % (n + 1), b = a + (size_t)random() % (n - a + 1);
  size_t skip = (size_t)random() % 50;
  uint8_t *junk = malloc(skip + a + 1);
  memcpy(junk + skip, data, a);
  struct iovec iov[4] = {{junk, skip + a}, {NULL, 0}, {data + a, b - a}, {data + b, n - b + (b < n ? 0 : 0)}};
  int len = record_seal(o->tx, &o->slot.tx, RECORD_DATA, iov, 4, skip, n, wire);
  free(junk);
  assert_int_equal(len, n + RECORD_OVERHEAD);
  assert_int_equal(BIO_write(SSL_get_rbio(o->peer), wire, len), len);
  assert_int_equal(SSL_read(o->peer, got, (int)sizeof got), n);
  assert_memory_equal(got, data, n);
}

static void test_openssl_both_roles(void **state) {
  (void)state;
  for (size_t c = 0; c < 3; c++)
    for (int role = 0; role < 2; role++) {
      struct ours o;
      ours_open(&o, ciphers[c], role ? ARENA_SERVER : ARENA_CLIENT);
      for (int i = 0; i < 300; i++) {
        openssl_to_us(&o);
        us_to_openssl(&o);
      }
      ours_close(&o);
    }
}

static void reopen(struct record_ctx **ctx, struct arena_side *side, uint16_t cipher, int seal) {
  assert_int_equal(record_side_update(side, cipher), 0);
  assert_int_equal(side->seq, 0);
  record_ctx_free(*ctx);
  *ctx = record_ctx_new(side, cipher, seal);
  assert_non_null(*ctx);
}

/* Both directions move to new secrets several times, as OpenSSL does. */
static void test_key_update_ratchet(void **state) {
  (void)state;
  uint8_t buf[256], type = 0;
  for (size_t c = 0; c < 3; c++) {
    struct ours o;
    ours_open(&o, ciphers[c], ARENA_SERVER);
    for (uint32_t round = 1; round < 5; round++) {
      assert_int_equal(SSL_key_update(o.peer, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
      assert_int_equal(SSL_do_handshake(o.peer), 1);
      int len = BIO_read(SSL_get_wbio(o.peer), buf, sizeof buf);
      assert_int_equal(record_open(o.rx, &o.slot.rx, buf, (size_t)len, buf + 100, 100, NULL, 0, &type), 5);
      assert_int_equal(type, RECORD_HANDSHAKE);
      assert_int_equal(buf[100], 24);
      reopen(&o.rx, &o.slot.rx, ciphers[c], 0);
      assert_int_equal(o.slot.rx.epoch, round);

      uint8_t update[5] = {24, 0, 0, 1, 0};
      struct iovec iov = {update, 5};
      len = record_seal(o.tx, &o.slot.tx, RECORD_HANDSHAKE, &iov, 1, 0, 5, buf);
      assert_int_equal(BIO_write(SSL_get_rbio(o.peer), buf, len), len);
      reopen(&o.tx, &o.slot.tx, ciphers[c], 1);
      openssl_to_us(&o);
      us_to_openssl(&o);
    }
    ours_close(&o);
  }
}

/* ---- malformed ------------------------------------------------------------------------------------- */
/* A sealer that can break the rules: inner plaintext of any shape under AES-128-GCM. */
static size_t seal_raw(const struct arena_side *side, const uint8_t *inner, size_t n, uint8_t *wire) {
  uint8_t nonce[12];
  int m;
  memcpy(nonce, side->iv, 12);
  for (unsigned i = 0; i < 8; i++)
    nonce[11 - i] ^= (uint8_t)(side->seq >> (8 * i));
  size_t body = n + 16;
  wire[0] = 23, wire[1] = 3, wire[2] = 3, wire[3] = (uint8_t)(body >> 8), wire[4] = (uint8_t)body;
  EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
  assert_true(EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, side->key, nonce));
  assert_true(EVP_EncryptUpdate(ctx, NULL, &m, wire, 5));
  assert_true(n == 0 || EVP_EncryptUpdate(ctx, wire + 5, &m, inner, (int)n));
  assert_true(EVP_EncryptFinal_ex(ctx, wire + 5 + n, &m));
  assert_true(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, wire + 5 + n));
  EVP_CIPHER_CTX_free(ctx);
  return 5 + body;
}

struct bench_side {
  struct arena_side side;
  struct record_ctx *ctx;
};

static void side_open(struct bench_side *b) {
  side_from(&b->side, CLIENT_SECRET, 5);
  b->ctx = record_ctx_new(&b->side, ARENA_AES_128_GCM_SHA256, 0);
  assert_non_null(b->ctx);
}

static uint8_t wire[20000], inner[20000], out[20000], more[20000];

static bool all(const uint8_t *p, size_t n, uint8_t v) {
  for (size_t i = 0; i < n; i++)
    if (p[i] != v)
      return false;
  return true;
}

static void test_bad_tag_leaves_no_plaintext(void **state) {
  (void)state;
  struct bench_side b;
  side_open(&b);
  uint8_t type = 99;
  memset(inner, 'p', 5000);
  inner[5000] = RECORD_DATA;
  size_t len = seal_raw(&b.side, inner, 5001, wire);
  for (size_t bit = 0; bit < len * 8; bit += (bit < 40 || bit > (len - 16) * 8) ? 1 : 977) {
    wire[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    size_t split = (bit % 3) * 2600; /* all behind, split, all in out */
    memset(out, 0, sizeof out);
    memset(more, 0, sizeof more);
    int rc = record_open(b.ctx, &b.side, wire, len, out, split, more, sizeof more, &type);
    assert_true(rc < 0);
    if (bit / 8 >= 5)
      assert_int_equal(rc, RECORD_BAD_MAC);
    assert_true(all(out, sizeof out, 0) && all(more, sizeof more, 0));
    assert_int_equal(b.side.seq, 5);
    wire[bit / 8] ^= (uint8_t)(1u << (bit % 8));
  }
  assert_int_equal(record_open(b.ctx, &b.side, wire, len, out, 5000, NULL, 0, &type), 5000);
  assert_int_equal(b.side.seq, 6);
  /* A replay does not open: the sequence number has moved on. */
  assert_int_equal(record_open(b.ctx, &b.side, wire, len, out, 5000, NULL, 0, &type), RECORD_BAD_MAC);
  record_ctx_free(b.ctx);
}

static void test_header_errors(void **state) {
  (void)state;
  uint8_t h[5] = {23, 3, 3, 0, 0};
  for (size_t have = 0; have < 5; have++)
    assert_int_equal(record_length(h, have), RECORD_SHORT);
  assert_int_equal(record_length(h, 5), RECORD_BAD_MAC); /* length 0 */
  h[4] = 15;
  assert_int_equal(record_length(h, 5), RECORD_BAD_MAC);
  h[4] = 16;
  assert_int_equal(record_length(h, 5), 21);
  h[3] = 0x41, h[4] = 0;
  assert_int_equal(record_length(h, 5), RECORD_HEADER + RECORD_PLAIN_MAX + 256);
  h[4] = 1;
  assert_int_equal(record_length(h, 5), RECORD_OVERFLOW);
  h[3] = 0xff;
  assert_int_equal(record_length(h, 5), RECORD_OVERFLOW);
  for (int t = 0; t < 256; t++) {
    uint8_t other[5] = {(uint8_t)t, 3, 3, 0, 50};
    assert_int_equal(record_length(other, 5), t == 23 ? 55 : RECORD_UNEXPECTED);
  }
  h[1] = 9, h[2] = 9, h[3] = 0, h[4] = 17; /* the version is ignored */
  assert_int_equal(record_length(h, 5), 22);
}

static void test_inner_errors(void **state) {
  (void)state;
  struct bench_side b;
  side_open(&b);
  uint8_t type = 99;
  memset(inner, 0, sizeof inner);
  /* Nothing but padding, of every kind of length, the empty one included. */
  for (size_t n = 0; n <= RECORD_PLAIN_MAX + 1; n = n ? n * 2 + 1 : 1) {
    size_t len = seal_raw(&b.side, inner, n, wire);
    assert_int_equal(record_open(b.ctx, &b.side, wire, len, out, n, NULL, 0, &type), RECORD_UNEXPECTED);
    assert_int_equal(record_open(b.ctx, &b.side, wire, len, out, n / 2, more, n, &type), RECORD_UNEXPECTED);
    assert_int_equal(b.side.seq, 5);
  }
  /* Content beyond 2^14, which still fits the outer limit; padding does not excuse it. */
  memset(inner, 'x', RECORD_PLAIN_MAX + 1);
  inner[RECORD_PLAIN_MAX + 1] = RECORD_DATA;
  size_t len = seal_raw(&b.side, inner, RECORD_PLAIN_MAX + 2, wire);
  assert_int_equal(record_open(b.ctx, &b.side, wire, len, out, sizeof out, NULL, 0, &type), RECORD_OVERFLOW);
  memset(inner, 0, sizeof inner);
  inner[3] = RECORD_DATA;
  len = seal_raw(&b.side, inner, RECORD_PLAIN_MAX + 2, wire);
  assert_int_equal(record_open(b.ctx, &b.side, wire, len, out, sizeof out, NULL, 0, &type), RECORD_OVERFLOW);
  /* Exactly 2^14 is allowed. */
  memset(inner, 'x', RECORD_PLAIN_MAX);
  inner[RECORD_PLAIN_MAX] = RECORD_DATA;
  len = seal_raw(&b.side, inner, RECORD_PLAIN_MAX + 1, wire);
  assert_int_equal(record_open(b.ctx, &b.side, wire, len, out, RECORD_PLAIN_MAX, NULL, 0, &type), RECORD_PLAIN_MAX);
  /* A record cut short or with bytes behind it is the caller's mistake, not opened. */
  len = seal_raw(&b.side, inner, 100, wire);
  assert_int_equal(record_open(b.ctx, &b.side, wire, len - 1, out, 100, NULL, 0, &type), RECORD_SHORT);
  assert_int_equal(record_open(b.ctx, &b.side, wire, len + 1, out, 100, NULL, 0, &type), RECORD_SHORT);
  record_ctx_free(b.ctx);
}

/* Padding is taken off wherever the split between the two places falls, and leaves no type byte behind. */
static void test_padding(void **state) {
  (void)state;
  struct bench_side b;
  side_open(&b);
  for (int i = 0; i < 3000; i++) {
    size_t content = (size_t)random() % 600, pad = (size_t)random() % 900, n = content + 1 + pad;
    size_t first = (size_t)random() % (n + 50);
    uint8_t type = 0;
    for (size_t k = 0; k < content; k++)
      inner[k] = (uint8_t)(k % 255 + 1);
    inner[content] = RECORD_DATA;
    memset(inner + content + 1, 0, pad);
    memset(out, 0, sizeof out);
    size_t len = seal_raw(&b.side, inner, n, wire);
    bool no_more = first >= content && random() % 2;
    int got = record_open(b.ctx, &b.side, wire, len, out, first, no_more ? NULL : more, no_more ? 0 : 2000, &type);
    assert_int_equal(got, content);
    assert_int_equal(type, RECORD_DATA);
    size_t head = first < content ? first : content;
    assert_memory_equal(out, inner, head);
    assert_true(all(out + head, first - head + 10, 0));
    if (!no_more)
      assert_memory_equal(more, inner + head, content - head);
  }
  record_ctx_free(b.ctx);
}

/* The shim keeps the rest of a record where its ciphertext was. */
static void test_rest_in_place(void **state) {
  (void)state;
  struct bench_side b;
  side_open(&b);
  for (size_t first = 0; first <= 1000; first += 37) {
    uint8_t type = 0;
    for (size_t k = 0; k < 1000; k++)
      inner[k] = (uint8_t)k;
    inner[1000] = RECORD_DATA;
    size_t len = seal_raw(&b.side, inner, 1001, wire);
    uint8_t *rest = wire + RECORD_HEADER + first;
    assert_int_equal(record_open(b.ctx, &b.side, wire, len, out, first, rest, 1001 - first, &type), 1000);
    assert_memory_equal(out, inner, first);
    assert_memory_equal(rest, inner + first, 1000 - first);
  }
  record_ctx_free(b.ctx);
}

static void test_exhaustion(void **state) {
  (void)state;
  uint8_t buf[64], type = 0;
  struct iovec iov = {buf, 4};
  struct arena_side side;
  side_from(&side, CLIENT_SECRET, 0);
  struct record_ctx *seal = record_ctx_new(&side, ARENA_AES_128_GCM_SHA256, 1);
  assert_false(record_side_worn(&side, ARENA_AES_128_GCM_SHA256));
  side.seq = 23726566 - 17; /* floor(2^24.5), less what a KeyUpdate and an alert may need */
  assert_false(record_side_worn(&side, ARENA_AES_128_GCM_SHA256));
  assert_true(record_seal(seal, &side, RECORD_DATA, &iov, 1, 0, 4, buf + 8) > 0);
  assert_true(record_side_worn(&side, ARENA_AES_128_GCM_SHA256));
  assert_true(record_side_worn(&side, ARENA_AES_256_GCM_SHA384));
  assert_false(record_side_worn(&side, ARENA_CHACHA20_POLY1305_SHA256));
  assert_true(record_seal(seal, &side, RECORD_HANDSHAKE, &iov, 1, 0, 4, buf + 8) > 0);
  side.seq = 23726566;
  assert_int_equal(record_seal(seal, &side, RECORD_DATA, &iov, 1, 0, 4, buf + 8), RECORD_EXHAUSTED);
  assert_int_equal(side.seq, 23726566);
  side.seq = UINT64_MAX - 3;
  assert_true(record_side_worn(&side, ARENA_CHACHA20_POLY1305_SHA256));
  record_ctx_free(seal);

  /* Receiving: the last sequence number is never used, it could not be followed by another. */
  struct record_ctx *open = record_ctx_new(&side, ARENA_AES_128_GCM_SHA256, 0);
  side.seq = UINT64_MAX;
  size_t len = seal_raw(&side, (const uint8_t *)"hi\x17", 3, wire);
  assert_int_equal(record_open(open, &side, wire, len, out, 10, NULL, 0, &type), RECORD_EXHAUSTED);
  record_ctx_free(open);
}

static void test_unknown_suite_is_refused(void **state) {
  (void)state;
  struct arena_side side;
  memset(&side, 0, sizeof side);
  assert_int_equal(record_hash_len(0x1304), 0);
  assert_int_equal(record_key_len(0x1304), 0);
  assert_int_equal(record_hash_len(ARENA_AES_256_GCM_SHA384), 48);
  assert_int_equal(record_key_len(ARENA_AES_256_GCM_SHA384), 32);
  assert_int_equal(record_side_init(&side, 0x1304), RECORD_INTERNAL);
  assert_int_equal(record_side_update(&side, 0), RECORD_INTERNAL);
  assert_null(record_ctx_new(&side, 0x1304, 1));
  record_ctx_free(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rfc8448_keys),
      cmocka_unit_test(test_rfc8448_traffic),
      cmocka_unit_test(test_openssl_both_roles),
      cmocka_unit_test(test_key_update_ratchet),
      cmocka_unit_test(test_bad_tag_leaves_no_plaintext),
      cmocka_unit_test(test_header_errors),
      cmocka_unit_test(test_inner_errors),
      cmocka_unit_test(test_padding),
      cmocka_unit_test(test_rest_in_place),
      cmocka_unit_test(test_exhaustion),
      cmocka_unit_test(test_unknown_suite_is_refused),
  };
  srandom(3);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
