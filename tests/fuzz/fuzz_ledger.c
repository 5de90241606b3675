/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger's file. First byte even: the rest is a file. Odd: the rest is bodies, each behind a u16 length, put into
 * records whose digests are right, so that the fuzzer gets past them; what was read must then be writable, and read
 * back as the same.
 */
#include "agentclient/observe/ledger_file.h"

#include <stdlib.h>
#include <string.h>

#define NOON 1800014400

struct sums {
  uint64_t lines, count;
};

static bool sum(void *arg, const struct ledger_line *line) {
  struct sums *s = arg;
  s->lines++;
  for (int i = 0; i < LEDGER_RESULTS; i++)
    s->count += line->count[i];
  return strlen(line->config) + strlen(line->rule) + strlen(line->peer) + strlen(line->last_reason) < 1 << 20;
}

static struct sums sums(struct ledger *l) {
  struct sums s = {0, 0}, window = {0, 0};
  ledger_each(l, sum, &s);
  ledger_each_since(l, NOON - 5000, NOON, sum, &window);
  if (window.lines > s.lines)
    abort();
  return s;
}

static void read_exactly(struct ledger *l, const uint8_t *data, size_t len) {
  size_t at;
  uint8_t *copy = malloc(len ? len : 1);
  if (!copy)
    return;
  memcpy(copy, data, len);
  ledger_file_read(l, copy, len, &at);
  if (at > len)
    abort();
  free(copy);
}

/* A file of these bodies. */
static uint8_t *file_of(const struct ledger_bodies *b, size_t *len) {
  uint8_t head[LEDGER_FILE_HEAD], digest[LEDGER_FILE_DIGEST];
  ledger_file_head(head, digest);
  uint8_t *records = ledger_file_frame(b, digest, len);
  uint8_t *file = records ? malloc(*len + sizeof head) : NULL;
  if (file) {
    memcpy(file, head, sizeof head);
    memcpy(file + sizeof head, records, *len);
    *len += sizeof head;
  }
  free(records);
  return file;
}

static void bodies(struct ledger *l, const uint8_t *data, size_t size) {
  struct ledger_bodies b = {.data = malloc(3 * size + 8)};
  if (!b.data)
    return;
  while (size >= 2) {
    size_t n = (size_t)data[0] | (size_t)data[1] << 8;
    n = n < size - 2 ? n : size - 2;
    uint8_t le[4] = {(uint8_t)n, (uint8_t)(n >> 8)};
    memcpy(b.data + b.len, le, 4);
    memcpy(b.data + b.len + 4, data + 2, n);
    b.len += 4 + n;
    data += 2 + n;
    size -= 2 + n;
  }
  size_t len;
  uint8_t *file = file_of(&b, &len);
  if (file)
    read_exactly(l, file, len);
  free(file);
  ledger_bodies_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ledger *l = ledger_new(NOON), *again = ledger_new(NOON);
  if (size > 0 && l && again) {
    if (data[0] & 1)
      bodies(l, data + 1, size - 1);
    else
      read_exactly(l, data + 1, size - 1);
    struct ledger_bodies b = {0};
    size_t len;
    ledger_write_all(l, &b);
    uint8_t *file = b.failed ? NULL : file_of(&b, &len);
    if (file) {
      size_t at;
      if (ledger_file_read(again, file, len, &at) != LEDGER_FILE_WHOLE)
        abort();
      struct sums one = sums(l), two = sums(again);
      if (one.lines != two.lines || one.count != two.count)
        abort();
    }
    free(file);
    ledger_bodies_free(&b);
  }
  ledger_free(l);
  ledger_free(again);
  return 0;
}
