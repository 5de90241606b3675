/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records from a hostile peer, behind the cryptography: the AEAD is a copy here, so that any header, padding,
 * content and split between the caller's two places is reached. Nothing may be written outside them.
 *
 * Input: 2 bytes size of out, 2 bytes size of more, 1 byte flags (bit 0: more lies over the record), records.
 */
#define RECORD_FUZZ_AEAD
#include "shim/record/record.c"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok) {
  if (!ok)
    abort();
}

static void open_with(struct record_ctx *ctx, struct arena_side *side, const uint8_t *rec, size_t len, size_t out_len,
                      size_t more_len, int in_place) {
  /* Blocks of exactly the promised size: the sanitizer watches their ends. */
  uint8_t *copy = malloc(len), *out = malloc(out_len ? out_len : 1), *own = malloc(more_len ? more_len : 1);
  uint8_t *more = own, type = 0;
  memcpy(copy, rec, len);
  memset(out, 0x55, out_len ? out_len : 1);
  size_t inner = len - RECORD_HEADER - RECORD_TAG;
  if (in_place && out_len < inner) {
    more = copy + RECORD_HEADER + out_len;
    more_len = inner - out_len;
  }
  uint64_t seq = side->seq;
  int n = record_open(ctx, side, copy, len, out, out_len, more, more_len, &type);
  if (n >= 0) {
    check(side->seq == seq + 1 && type != 0 && (size_t)n < inner && (size_t)n <= out_len + more_len);
    size_t head = (size_t)n < out_len ? (size_t)n : out_len;
    check(memcmp(out, rec + RECORD_HEADER, head) == 0);
    check(memcmp(more, rec + RECORD_HEADER + head, (size_t)n - head) == 0);
    check(rec[RECORD_HEADER + n] == type);
    for (size_t i = (size_t)n; i < out_len; i++)
      check(out[i] == 0x55 || out[i] == 0);
  } else {
    check(side->seq == seq);
    for (size_t i = 0; i < out_len; i++)
      check(out[i] == 0x55 || out[i] == 0);
  }
  free(copy);
  free(out);
  free(own);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct record_ctx *ctx;
  static struct arena_side side;
  if (!ctx) {
    record_side_init(&side, ARENA_AES_128_GCM_SHA256);
    ctx = record_ctx_new(&side, ARENA_AES_128_GCM_SHA256, 0);
  }
  if (size < 5)
    return 0;
  size_t out_len = ((size_t)data[0] << 8 | data[1]) % 20000, more_len = ((size_t)data[2] << 8 | data[3]) % 20000;
  int flags = data[4];
  data += 5;
  size -= 5;
  while (size >= RECORD_HEADER) {
    int len = record_length(data, size);
    if (len < 0) {
      check(len == RECORD_OVERFLOW || len == RECORD_BAD_MAC || len == RECORD_UNEXPECTED);
      return 0;
    }
    if ((size_t)len > size)
      return 0;
    open_with(ctx, &side, data, (size_t)len, out_len, more_len, flags & 1);
    data += len;
    size -= (size_t)len;
  }
  check(record_length(data, size) == RECORD_SHORT);
  return 0;
}
