/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tickets.c - NewSessionTicket messages (RFC 8446 section 4.6.1) of one full handshake, all in one record: written by
 * the server right after the client's Finished, read by the client before the connection is handed over.
 *
 * The secrets behind them come from the exporter on both sides, and never travel. A client that does not wait leaves
 * the record where it is; to the record engine it is a foreign server's ticket, which it drops.
 */
#include "internal.h"
#include "shim/record/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#define NEW_SESSION_TICKET 4
/* Beside the ticket: header 4, lifetime 4, age_add 4, nonce 1 + 1, length 2, extensions 2. */
#define MESSAGE_FIXED 18u

/* ---- the message -------------------------------------------------------------------------------------------------
 */

static void put(uint8_t **p, uint32_t value, unsigned bytes) {
  while (bytes)
    *(*p)++ = (uint8_t)(value >> (8 * --bytes));
}

static void message_put(uint8_t **p, uint32_t lifetime, uint8_t nonce, const uint8_t *ticket, size_t len) {
  put(p, NEW_SESSION_TICKET, 1);
  put(p, (uint32_t)(MESSAGE_FIXED - 4 + len), 3);
  put(p, lifetime, 4);
  put(p, 0, 4); /* ticket_age_add: an external PSK has no age */
  put(p, 1, 1);
  put(p, nonce, 1);
  put(p, (uint32_t)len, 2);
  memcpy(*p, ticket, len);
  *p += len;
  put(p, 0, 2);
}

static bool get(const uint8_t **p, const uint8_t *end, unsigned bytes, uint32_t *value) {
  if ((size_t)(end - *p) < bytes)
    return false;
  *value = 0;
  while (bytes--)
    *value = *value << 8 | *(*p)++;
  return true;
}

static bool skip(const uint8_t **p, const uint8_t *end, uint32_t len) {
  if ((size_t)(end - *p) < len)
    return false;
  *p += len;
  return true;
}

/* One message's body. */
static bool message_get(const uint8_t *p, const uint8_t *end, struct handshake_ticket *t) {
  uint32_t age_add, len;
  if (!get(&p, end, 4, &t->lifetime) || !get(&p, end, 4, &age_add) || !get(&p, end, 1, &len) || !skip(&p, end, len))
    return false;
  if (!get(&p, end, 2, &len) || len == 0)
    return false;
  t->ticket = p;
  t->len = len;
  return skip(&p, end, len) && get(&p, end, 2, &len) && skip(&p, end, len) && p == end;
}

int handshake_tickets_parse(const uint8_t *in, size_t n, struct handshake_ticket *out, unsigned max) {
  const uint8_t *p = in, *end = in + n;
  unsigned count = 0;
  while (p < end) {
    uint32_t type, len;
    if (!get(&p, end, 1, &type) || type != NEW_SESSION_TICKET || !get(&p, end, 3, &len) || (size_t)(end - p) < len ||
        count == max || !message_get(p, p + len, &out[count]))
      return -1;
    p += len;
    count++;
  }
  return (int)count;
}

/* ---- server ------------------------------------------------------------------------------------------------------
 */

/* As many messages as one record holds. */
static size_t write_messages(const struct handshake *h, struct ticket_state *s, const uint8_t *psks, unsigned n,
                             uint8_t *out) {
  uint8_t ticket[TICKET_MAX], *p = out;
  uint32_t lifetime = (uint32_t)(s->until - time(NULL));
  for (unsigned i = 0; i < n; i++) {
    memcpy(s->psk, psks + (size_t)i * s->psk_len, s->psk_len);
    int len = ticket_seal(h->request.identity, s, ticket);
    if (len < 0 || (size_t)(p - out) + MESSAGE_FIXED + (size_t)len > RECORD_PLAIN_MAX)
      break;
    message_put(&p, lifetime, (uint8_t)i, ticket, (size_t)len);
  }
  return (size_t)(p - out);
}

static int seal(const struct handshake *h, uint16_t cipher, const uint8_t *messages, size_t n, uint8_t *wire) {
  struct arena_side side;
  struct iovec iov = {(void *)(uintptr_t)messages, n};
  int len = -1;
  memset(&side, 0, sizeof side);
  memcpy(side.secret, h->secrets.server, h->secrets.server_len);
  struct record_ctx *ctx = record_side_init(&side, cipher) == RECORD_OK ? record_ctx_new(&side, cipher, 1) : NULL;
  if (ctx)
    len = record_seal(ctx, &side, RECORD_HANDSHAKE, &iov, 1, 0, n, wire);
  record_ctx_free(ctx);
  OPENSSL_cleanse(&side, sizeof side);
  return len;
}

uint8_t handshake_resume_give(struct handshake *h, uint16_t cipher) {
  unsigned n = h->resume.said;
  uint8_t psks[TICKET_BATCH_MAX * TICKET_PSK_MAX];
  struct ticket_state s;
  uint8_t records = 0;
  if (!h->resume.on || n == 0 || h->secrets.server_len == 0 || h->secrets.server_len != record_hash_len(cipher))
    return 0;
  uint8_t *work = malloc(RECORD_PLAIN_MAX + RECORD_WIRE_MAX);
  if (work && handshake_resume_state(h, cipher, n, &s, psks)) {
    size_t len = write_messages(h, &s, psks, n, work);
    int wire = len ? seal(h, cipher, work, len, work + RECORD_PLAIN_MAX) : 0;
    if (wire > 0 && handshake_io_append(&h->io, work + RECORD_PLAIN_MAX, (size_t)wire) == 0)
      records = 1;
  }
  free(work);
  OPENSSL_cleanse(psks, sizeof psks);
  OPENSSL_cleanse(&s, sizeof s);
  return records;
}

/* ---- client ------------------------------------------------------------------------------------------------------
 */

bool handshake_resume_expects(struct handshake *h) {
  if (h->resume.offered) /* and not taken: what else there is for this place is of the same generation */
    purse_drop(h->request.identity, &h->resume.place);
  return h->resume.on && h->resume.want && h->resume.said;
}

static void keep(struct handshake *h, uint16_t cipher, const struct handshake_ticket *t, unsigned n) {
  uint8_t psks[TICKET_BATCH_MAX * TICKET_PSK_MAX];
  struct ticket_item item[TICKET_BATCH_MAX];
  struct ticket_state s;
  if (n > 0 && handshake_resume_state(h, cipher, n, &s, psks)) {
    time_t now = time(NULL);
    if (t[0].lifetime < s.until - now)
      s.until = now + (time_t)t[0].lifetime;
    for (unsigned i = 0; i < n; i++)
      item[i] = (struct ticket_item){.ticket = t[i].ticket, .len = t[i].len, .psk = psks + (size_t)i * s.psk_len};
    purse_put(h->request.identity, &h->resume.place, &s, item, n);
  }
  OPENSSL_cleanse(psks, sizeof psks);
  OPENSSL_cleanse(&s, sizeof s);
}

/* The first record under the application keys: tickets in it, or something that is the program's. */
static bool open_first(struct handshake *h, uint16_t cipher, const uint8_t *rec, size_t len, uint8_t *plain, int *n) {
  struct arena_side side;
  uint8_t type = 0;
  memset(&side, 0, sizeof side);
  memcpy(side.secret, h->secrets.server, h->secrets.server_len);
  struct record_ctx *ctx = record_side_init(&side, cipher) == RECORD_OK ? record_ctx_new(&side, cipher, 0) : NULL;
  *n = ctx ? record_open(ctx, &side, rec, len, plain, RECORD_WIRE_MAX, NULL, 0, &type) : -1;
  record_ctx_free(ctx);
  OPENSSL_cleanse(&side, sizeof side);
  return *n > 0 && type == RECORD_HANDSHAKE;
}

static int collect(struct handshake *h, uint16_t cipher, uint8_t *rec, bool *partial) {
  struct handshake_ticket t[TICKET_BATCH_MAX];
  uint8_t *plain = rec + RECORD_WIRE_MAX;
  ssize_t have = recv(h->io.fd, rec, RECORD_WIRE_MAX, MSG_PEEK | MSG_DONTWAIT);
  if (have < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
    return 0;
  if (have <= 0)
    return -1;
  int n, len = record_length(rec, (size_t)have);
  if (len == RECORD_SHORT || len > have) {
    *partial = true;
    return 0;
  }
  if (len < 0 || !open_first(h, cipher, rec, (size_t)len, plain, &n))
    return -1;
  n = handshake_tickets_parse(plain, (size_t)n, t, TICKET_BATCH_MAX);
  if (n < 0 || recv(h->io.fd, rec, (size_t)len, MSG_DONTWAIT) != len)
    return -1;
  keep(h, cipher, t, (unsigned)n);
  return 1;
}

int handshake_resume_collect(struct handshake *h, uint16_t cipher, bool *partial) {
  uint8_t *work = malloc(2 * RECORD_WIRE_MAX);
  *partial = false;
  if (!work || h->secrets.server_len == 0 || h->secrets.server_len != record_hash_len(cipher)) {
    free(work);
    return -1;
  }
  int rc = collect(h, cipher, work, partial);
  OPENSSL_cleanse(work + RECORD_WIRE_MAX, RECORD_WIRE_MAX);
  free(work);
  return rc;
}
