/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_file.c - the bytes of the ledger's file; see ledger_file.h. What is read was written by us or is refused:
 * the digest is looked at before anything else.
 */
#include "ledger_file.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

static const char magic[8] = "svwctr1\n";

enum body_kind {
  BODY_GAPS = 1,  /* began, damaged, lost: i64 each; lost_now: u64 */
  BODY_ENTRY = 2, /* u32 id (one more than the last), u8 inbound, texts: config, rule, peer */
  BODY_STATE = 3, /* u32 id, first, last_of[], u64 count[], text reason, u16 spans, each i64, u32, u32 count[] */
  BODY_COUNT = 4, /* u32 id, i64 when, first, last_of[], u32 count[], u8 reason changed, text reason */
};

/* -- writing -- */

void ledger_bodies_free(struct ledger_bodies *b) {
  free(b->data);
  *b = (struct ledger_bodies){0};
}

static void put(struct ledger_bodies *b, const void *data, size_t len) {
  if (b->len + len > b->room && !b->failed) {
    size_t room = b->room ? b->room : 4096;
    while (room < b->len + len)
      room *= 2;
    uint8_t *more = realloc(b->data, room);
    if (more) {
      b->data = more;
      b->room = room;
    }
    b->failed = !more;
  }
  if (b->failed)
    return;
  memcpy(b->data + b->len, data, len);
  b->len += len;
}

static void put_number(struct ledger_bodies *b, uint64_t n, size_t bytes) {
  uint8_t le[8];
  for (size_t i = 0; i < bytes; i++)
    le[i] = (uint8_t)(n >> (8 * i));
  put(b, le, bytes);
}

static void put_text(struct ledger_bodies *b, const char *text) {
  size_t len = strlen(text);
  if (len > 16000)
    len = 16000;
  put_number(b, len, 2);
  put(b, text, len);
}

static size_t body_begin(struct ledger_bodies *b, enum body_kind kind) {
  size_t at = b->len;
  put_number(b, 0, 4);
  put_number(b, kind, 1);
  return at;
}

static void body_end(struct ledger_bodies *b, size_t at) {
  if (b->failed)
    return;
  size_t len = b->len - at - 4;
  for (size_t i = 0; i < 4; i++)
    b->data[at + i] = (uint8_t)(len >> (8 * i));
}

static void write_gaps(const struct ledger *l, struct ledger_bodies *b) {
  size_t at = body_begin(b, BODY_GAPS);
  put_number(b, (uint64_t)l->gaps.began, 8);
  put_number(b, (uint64_t)l->gaps.damaged, 8);
  put_number(b, (uint64_t)l->gaps.lost, 8);
  put_number(b, l->gaps.lost_now, 8);
  body_end(b, at);
}

static void write_entry(const struct ledger_entry *e, struct ledger_bodies *b) {
  size_t at = body_begin(b, BODY_ENTRY);
  put_number(b, e->id, 4);
  put_number(b, e->rule->inbound, 1);
  put_text(b, e->rule->config);
  put_text(b, e->rule->name);
  put_text(b, e->peer);
  body_end(b, at);
}

static void write_times(const struct ledger_entry *e, struct ledger_bodies *b) {
  put_number(b, (uint64_t)e->first, 8);
  for (int i = 0; i < LEDGER_RESULTS; i++)
    put_number(b, (uint64_t)e->last_of[i], 8);
}

static void write_state(const struct ledger_entry *e, struct ledger_bodies *b) {
  size_t at = body_begin(b, BODY_STATE);
  put_number(b, e->id, 4);
  write_times(e, b);
  for (int i = 0; i < LEDGER_RESULTS; i++)
    put_number(b, e->count[i], 8);
  put_text(b, e->reason);
  put_number(b, e->spans.count, 2);
  for (uint32_t s = 0; s < e->spans.count; s++) {
    put_number(b, (uint64_t)e->spans.at[s].start, 8);
    put_number(b, e->spans.at[s].width, 4);
    for (int i = 0; i < LEDGER_RESULTS; i++)
      put_number(b, e->spans.at[s].count[i], 4);
  }
  body_end(b, at);
}

static void write_count(const struct ledger_entry *e, struct ledger_bodies *b, time_t now) {
  size_t at = body_begin(b, BODY_COUNT);
  put_number(b, e->id, 4);
  put_number(b, (uint64_t)now, 8);
  write_times(e, b);
  for (int i = 0; i < LEDGER_RESULTS; i++)
    put_number(b, e->pending[i], 4);
  put_number(b, e->reason_dirty, 1);
  put_text(b, e->reason_dirty ? e->reason : "");
  body_end(b, at);
}

uint32_t ledger_write_all(struct ledger *l, struct ledger_bodies *to) {
  uint32_t ids = 0;
  struct ledger_entry *e;
  write_gaps(l, to);
  TAILQ_FOREACH(e, &l->all, all) {
    ledger_entry_clean(l, e);
    e->id = ++ids;
    write_entry(e, to);
    write_state(e, to);
  }
  l->gaps_dirty = false;
  return ids;
}

uint32_t ledger_write_dirty(struct ledger *l, struct ledger_bodies *to, uint32_t ids, time_t now) {
  struct ledger_entry *e;
  if (l->gaps_dirty)
    write_gaps(l, to);
  l->gaps_dirty = false;
  while ((e = TAILQ_FIRST(&l->dirty))) {
    if (!e->id) {
      e->id = ++ids;
      write_entry(e, to);
    }
    write_count(e, to, now);
    ledger_entry_clean(l, e);
  }
  return ids;
}

/* -- records -- */

static void put_le32(uint8_t *to, uint32_t n) {
  for (size_t i = 0; i < 4; i++)
    to[i] = (uint8_t)(n >> (8 * i));
}

static uint32_t le32(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Out of memory: a digest that fits nothing. */
static void chain(EVP_MD_CTX *md, const uint8_t before[LEDGER_FILE_DIGEST], const uint8_t *length,
                  const uint8_t *body, size_t len, uint8_t out[LEDGER_FILE_DIGEST]) {
  uint8_t all[EVP_MAX_MD_SIZE];
  bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
            EVP_DigestUpdate(md, before, LEDGER_FILE_DIGEST) == 1 && EVP_DigestUpdate(md, length, 4) == 1 &&
            EVP_DigestUpdate(md, body, len) == 1 && EVP_DigestFinal_ex(md, all, NULL) == 1;
  if (!ok)
    RAND_bytes(all, LEDGER_FILE_DIGEST);
  memcpy(out, all, LEDGER_FILE_DIGEST);
}

static void head_digest(const uint8_t head[LEDGER_FILE_HEAD], uint8_t digest[LEDGER_FILE_DIGEST]) {
  static const uint8_t nothing[LEDGER_FILE_DIGEST];
  uint8_t length[4];
  put_le32(length, LEDGER_FILE_HEAD);
  EVP_MD_CTX *md = EVP_MD_CTX_new();
  chain(md, nothing, length, head, LEDGER_FILE_HEAD, digest);
  EVP_MD_CTX_free(md);
}

void ledger_file_head(uint8_t head[LEDGER_FILE_HEAD], uint8_t digest[LEDGER_FILE_DIGEST]) {
  memcpy(head, magic, sizeof magic);
  RAND_bytes(head + sizeof magic, LEDGER_FILE_HEAD - (int)sizeof magic);
  head_digest(head, digest);
}

uint8_t *ledger_file_frame(const struct ledger_bodies *b, uint8_t digest[LEDGER_FILE_DIGEST], size_t *len) {
  size_t records = 0, at;
  for (at = 0; at < b->len; at += 4 + le32(b->data + at))
    records++;
  uint8_t *out = malloc(b->len + records * (LEDGER_FILE_FRAME - 4) + 1), *p = out;
  EVP_MD_CTX *md = EVP_MD_CTX_new();
  if (!out || !md) {
    free(out);
    EVP_MD_CTX_free(md);
    return NULL;
  }
  for (at = 0; at < b->len;) {
    uint32_t n = le32(b->data + at);
    chain(md, digest, b->data + at, b->data + at + 4, n, digest);
    put_le32(p, n);
    put_le32(p + 4, ~n);
    memcpy(p + 8, digest, LEDGER_FILE_DIGEST);
    memcpy(p + LEDGER_FILE_FRAME, b->data + at + 4, n);
    p += LEDGER_FILE_FRAME + n;
    at += 4 + n;
  }
  EVP_MD_CTX_free(md);
  *len = (size_t)(p - out);
  return out;
}

/* -- reading -- */

struct reader {
  struct ledger *ledger;
  struct ledger_entry **ids; /* NULL within: it had no room */
  uint32_t count, room;
  const uint8_t *p, *end;
  bool bad;
};

static uint64_t get(struct reader *r, size_t bytes) {
  uint64_t n = 0;
  if ((size_t)(r->end - r->p) < bytes) {
    r->bad = true;
    return 0;
  }
  for (size_t i = 0; i < bytes; i++)
    n |= (uint64_t)r->p[i] << (8 * i);
  r->p += bytes;
  return n;
}

/* malloc()ed. NULL: bad, or out of memory. */
static char *get_text(struct reader *r) {
  size_t len = get(r, 2);
  if (r->bad || (size_t)(r->end - r->p) < len || memchr(r->p, 0, len)) {
    r->bad = true;
    return NULL;
  }
  char *text = strndup((const char *)r->p, len);
  r->bad |= !text;
  r->p += len;
  return text;
}

static void read_gaps(struct reader *r) {
  struct ledger_gaps *have = &r->ledger->gaps, g;
  g.began = (time_t)get(r, 8);
  g.damaged = (time_t)get(r, 8);
  g.lost = (time_t)get(r, 8);
  g.lost_now = get(r, 8);
  if (r->bad)
    return;
  if (g.began < have->began)
    have->began = g.began;
  if (g.damaged > have->damaged)
    have->damaged = g.damaged;
  if (g.lost > have->lost)
    have->lost = g.lost;
  if (g.lost_now > have->lost_now)
    have->lost_now = g.lost_now;
}

static void read_entry(struct reader *r) {
  uint64_t id = get(r, 4);
  bool inbound = get(r, 1) != 0;
  char *config = get_text(r), *rule = get_text(r), *peer = get_text(r);
  r->bad |= id != (uint64_t)r->count + 1;
  if (!r->bad && r->count == r->room) {
    uint32_t room = r->room ? 2 * r->room : 256;
    struct ledger_entry **more = realloc(r->ids, room * sizeof(struct ledger_entry *));
    r->bad |= !more;
    if (more) {
      r->ids = more;
      r->room = room;
    }
  }
  if (!r->bad)
    r->ids[r->count++] = ledger_entry_of(r->ledger, config, rule, inbound, peer);
  free(config);
  free(rule);
  free(peer);
}

/* *e NULL and not bad: an entry that had no room. */
static void read_id(struct reader *r, struct ledger_entry **e) {
  uint64_t id = get(r, 4);
  *e = NULL;
  if (!r->bad && id >= 1 && id <= r->count)
    *e = r->ids[id - 1];
  else
    r->bad = true;
}

struct counts {
  int64_t first, last_of[LEDGER_RESULTS];
  uint64_t count[LEDGER_RESULTS];
};

static void read_times(struct reader *r, struct counts *c) {
  c->first = (int64_t)get(r, 8);
  for (int i = 0; i < LEDGER_RESULTS; i++)
    c->last_of[i] = (int64_t)get(r, 8);
}

static void take_counts(struct ledger_entry *e, const struct counts *c) {
  if (!e->first || c->first < e->first)
    e->first = c->first;
  for (int i = 0; i < LEDGER_RESULTS; i++) {
    e->count[i] += c->count[i];
    if (e->last_of[i] < c->last_of[i])
      e->last_of[i] = c->last_of[i];
  }
}

static void take_reason(struct reader *r, struct ledger_entry *e, bool changed) {
  char *reason = get_text(r);
  if (e && reason && changed) {
    strncpy(e->reason, reason, sizeof e->reason - 1);
    e->reason[sizeof e->reason - 1] = '\0';
  }
  free(reason);
}

static void read_state(struct reader *r) {
  struct ledger_entry *e;
  struct counts c;
  read_id(r, &e);
  read_times(r, &c);
  for (int i = 0; i < LEDGER_RESULTS; i++)
    c.count[i] = get(r, 8);
  take_reason(r, e, true);
  size_t spans = get(r, 2);
  if (r->bad || spans > LEDGER_SPANS_MAX)
    r->bad = true;
  for (size_t s = 0; s < spans && !r->bad; s++) {
    struct ledger_span span = {.start = (int64_t)get(r, 8), .width = (uint32_t)get(r, 4)};
    for (int i = 0; i < LEDGER_RESULTS; i++)
      span.count[i] = (uint32_t)get(r, 4);
    if (e && !r->bad)
      r->bad |= !ledger_spans_restore(&e->spans, &span);
  }
  if (e && !r->bad)
    take_counts(e, &c);
}

static void read_count(struct reader *r) {
  struct ledger_entry *e;
  struct counts c;
  read_id(r, &e);
  int64_t when = (int64_t)get(r, 8);
  read_times(r, &c);
  for (int i = 0; i < LEDGER_RESULTS; i++)
    c.count[i] = get(r, 4);
  bool changed = get(r, 1) != 0;
  take_reason(r, e, changed);
  r->bad |= when < 0;
  if (!e || r->bad)
    return;
  take_counts(e, &c);
  for (int i = 0; i < LEDGER_RESULTS; i++)
    if (c.count[i] && !ledger_spans_add(&e->spans, when, (enum ledger_result)i, (uint32_t)c.count[i], when))
      r->bad = true;
}

static bool read_body(struct reader *r, const uint8_t *body, size_t len) {
  r->p = body;
  r->end = body + len;
  switch (get(r, 1)) {
  case BODY_GAPS:
    read_gaps(r);
    break;
  case BODY_ENTRY:
    read_entry(r);
    break;
  case BODY_STATE:
    read_state(r);
    break;
  case BODY_COUNT:
    read_count(r);
    break;
  default:
    r->bad = true;
  }
  return !r->bad && r->p == r->end;
}

/* A file that grew and was not written (the machine lost power) ends in zeros. */
static bool zeros(const uint8_t *p, size_t len) {
  for (size_t i = 0; i < len; i++)
    if (p[i])
      return false;
  return true;
}

static enum ledger_file_end read_records(struct reader *r, const uint8_t *data, size_t len, size_t *at,
                                         EVP_MD_CTX *md) {
  uint8_t digest[LEDGER_FILE_DIGEST], before[LEDGER_FILE_DIGEST];
  head_digest(data, digest);
  while (*at < len) {
    const uint8_t *frame = data + *at;
    size_t left = len - *at;
    if (left < 8 || zeros(frame, left))
      return LEDGER_FILE_TORN;
    uint32_t n = le32(frame);
    if (n != ~le32(frame + 4) || n > LEDGER_BODY_MAX)
      return LEDGER_FILE_DAMAGED;
    if (left < LEDGER_FILE_FRAME + (size_t)n)
      return LEDGER_FILE_TORN;
    memcpy(before, digest, sizeof before);
    chain(md, before, frame, frame + LEDGER_FILE_FRAME, n, digest);
    if (memcmp(digest, frame + 8, sizeof digest) != 0 || !read_body(r, frame + LEDGER_FILE_FRAME, n))
      return LEDGER_FILE_DAMAGED;
    *at += LEDGER_FILE_FRAME + n;
  }
  return LEDGER_FILE_WHOLE;
}

enum ledger_file_end ledger_file_read(struct ledger *l, const uint8_t *data, size_t len, size_t *at) {
  *at = 0;
  if (len < LEDGER_FILE_HEAD || memcmp(data, magic, sizeof magic) != 0)
    return LEDGER_FILE_FOREIGN;
  struct reader r = {.ledger = l};
  EVP_MD_CTX *md = EVP_MD_CTX_new();
  *at = LEDGER_FILE_HEAD;
  enum ledger_file_end end = read_records(&r, data, len, at, md);
  EVP_MD_CTX_free(md);
  free(r.ids);
  return end;
}
