/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tickets from both sides: what a server sends (NewSessionTicket messages, behind the cryptography), what a client
 * brings back (a ticket, before and behind the cryptography), and a purse that is filled with it all.
 *
 * Input: 1 byte which, then the bytes.
 */
#include "agentclient/handshake/internal.h"
#include "agentclient/identity/ticket.c"
#include "tests/unit/support_pki.h"

#include <netinet/in.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct identity *id;
static struct ticket_place place[3];

static void check(int ok) {
  if (!ok)
    abort();
}

static void once(void) {
  struct pki_ca *ca = pki_ca_new("example.org");
  struct pki_svid *svid = pki_issue(ca, &(struct pki_leaf){0});
  id = pki_identity(svid, (struct pki_ca *[]){ca, NULL});
  pki_svid_free(svid);
  pki_ca_free(ca);
  for (uint16_t i = 0; i < 3; i++) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = i};
    check(ticket_place_make(&place[i], (struct sockaddr *)&to, 0, 0, NULL) == 0);
  }
}

/* Into the purse and out again: the same tickets in the same order, or none. */
static void spend(const struct handshake_ticket *t, int n) {
  static const uint8_t psk[TICKET_PSK_MAX];
  struct ticket_state common = {.cipher = 0x1301, .until = 1000, .psk_len = 32}, s;
  struct ticket_item item[TICKET_BATCH_MAX];
  uint8_t ticket[TICKET_MAX];
  unsigned want, i = 0;
  size_t len;
  for (int k = 0; k < n; k++)
    item[k] = (struct ticket_item){.ticket = t[k].ticket, .len = t[k].len, .psk = psk};
  purse_put(id, &place[n % 3], &common, item, (size_t)n);
  purse_put(id, &place[0], &common, item, (size_t)n);
  while ((len = purse_take(id, &place[n % 3], 500, ticket, &s, &want)) > 0) {
    check(len == t[i % (unsigned)n].len && memcmp(ticket, t[i % (unsigned)n].ticket, len) == 0);
    check(s.psk_len == 32 && want > 0 && want <= TICKET_BATCH_MAX);
    i++;
  }
  purse_drop(id, &place[0]);
  check(purse_count(id) == 0);
}

static void messages(const uint8_t *in, size_t n) {
  struct handshake_ticket t[TICKET_BATCH_MAX];
  int count = handshake_tickets_parse(in, n, t, TICKET_BATCH_MAX);
  const uint8_t *at = in;
  for (int i = 0; i < count; i++) {
    check(t[i].ticket > at && t[i].len > 0 && t[i].ticket + t[i].len <= in + n);
    at = t[i].ticket + t[i].len;
  }
  if (count > 0)
    spend(t, count);
}

static void fields(const uint8_t *in, size_t n) {
  struct ticket_state s;
  uint8_t again[TICKET_MAX];
  memset(&s, 0, sizeof s);
  if (n > TICKET_MAX - NONCE - TAG || read_fields(in, n, &s) != 0)
    return;
  check(s.psk_len > 0 && s.psk_len <= TICKET_PSK_MAX && s.peer.len == strlen(s.peer.text));
  check(write_fields(&s, again) == n);
  check(memcmp(again, in, FIXED - 1) == 0 && memcmp(again + FIXED, in + FIXED, n - FIXED) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ticket_state s;
  if (!id)
    once();
  if (size < 1)
    return 0;
  uint8_t *copy = malloc(size - 1 ? size - 1 : 1); /* exactly: the sanitizer watches its end */
  memcpy(copy, data + 1, size - 1);
  switch (data[0] % 3) {
  case 0:
    messages(copy, size - 1);
    break;
  case 1:
    fields(copy, size - 1);
    break;
  default:
    check(ticket_open(id, 0, copy, size - 1, &s) == -1);
  }
  free(copy);
  return 0;
}
