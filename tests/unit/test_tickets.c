/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_tickets.c - do tickets that are not what they seem, and peers that know nothing of them or lie about them,
 * lead to a full handshake or to none?
 */
#include "agentclient/identity/context.h"
#include "support_resume.h"
#include "shim/record/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* ---- tickets that are not what they seem ------------------------------------------------------------------------
 */

static struct ticket_state good_state(void) {
  struct ticket_state s = {.cipher = 0x1301, .from = 0, .until = time(NULL) + 100, .psk_len = 32};
  const char *why;
  memset(s.psk, 7, 32);
  assert_int_equal(spiffeid_parse(&s.peer, "spiffe://example.org/client", 27, 1, &why), 0);
  return s;
}

/* What the client believes is always good; what is in the ticket that it was given is s, the byte at `spoil` wrong.
 */
static void plant(struct ticket_state s, uint8_t psk, size_t spoil) {
  struct ticket_place place;
  struct ticket_state common = good_state();
  uint8_t ticket[TICKET_MAX], secret[32];
  const char *why;
  resume_fresh();
  memset(secret, psk, sizeof secret);
  int n = ticket_seal(resume_world.server_id, &s, ticket);
  assert_true(n > 0);
  if (spoil)
    ticket[spoil % (size_t)n] ^= 1;
  struct ticket_item item = {.ticket = ticket, .len = (size_t)n, .psk = secret};
  assert_int_equal(spiffeid_parse(&common.peer, "spiffe://example.org/server", 27, 1, &why), 0);
  assert_int_equal(ticket_place_make(&place, (struct sockaddr *)&resume_address, RULE_OUT, 0, ""), 0);
  purse_put(resume_world.client_id, &place, &common, &item, 1);
}

static void a_ticket_that_is_not_good_leads_to_a_full_handshake(void **state) {
  struct ticket_state s = good_state(), expired = s, early = s, stranger = s, other_svid = s;
  const char *why;
  (void)state;
  plant(s, 7, 0);
  assert_true(resume_meeting(&resume_plain)); /* the measure */
  expired.until = time(NULL) - 1;
  plant(expired, 7, 0);
  assert_false(resume_meeting(&resume_plain));
  early.from = time(NULL) + 50;
  plant(early, 7, 0);
  assert_false(resume_meeting(&resume_plain));
  assert_int_equal(spiffeid_parse(&stranger.peer, "spiffe://example.org/stranger", 29, 1, &why), 0);
  plant(stranger, 7, 0);
  assert_false(resume_meeting(&resume_plain));
  other_svid.svid = 1;
  plant(other_svid, 7, 0);
  assert_false(resume_meeting(&resume_plain));
  for (size_t i = 1; i < 120; i += 7) {
    plant(s, 7, i);
    assert_false(resume_meeting(&resume_plain));
  }
  plant(s, 7, 0);
  resume_renew(&resume_world.server_id, resume_world.server); /* the same SVID, of another generation */
  assert_false(resume_meeting(&resume_plain));
}

static void a_ticket_without_its_secret_is_worth_nothing(void **state) {
  struct resume_pair_of m;
  (void)state;
  plant(good_state(), 8, 0);
  resume_meet(&m, &resume_plain);
  assert_int_not_equal(m.client.result.outcome, HANDSHAKE_OK);
  assert_int_not_equal(m.server.result.outcome, HANDSHAKE_OK);
  assert_int_equal(m.server.result.peer.len, 0); /* it has proved nothing */
  resume_part(&m);
  assert_false(resume_meeting(&resume_plain));
}

/* ---- foreign and hostile ------------------------------------------------------------------------------------------
 */

static void a_foreign_client_is_sent_no_ticket(void **state) {
  struct hs_peer p = {.ctx = pki_peer_context(resume_world.client, resume_world.ca, false)};
  struct hs_ours o;
  (void)state;
  resume_fresh();
  hs_meet(&resume_world, &o, &p, RULE_IN);
  assert_int_equal(o.result.outcome, HANDSHAKE_OK);
  assert_int_equal(o.result.tx_records, 0);
  shutdown(o.fd, SHUT_RDWR);
  hs_peer_join(&p);
  hs_done(&o);
}

static void a_foreign_server_is_not_waited_for(void **state) {
  struct hs_peer p = {
      .server = true, .ctx = pki_peer_context(resume_world.server, resume_world.ca, true), .say = "hello"};
  struct hs_ours o;
  (void)state;
  resume_fresh();
  SSL_CTX_set_num_tickets(p.ctx, 2);
  hs_meet(&resume_world, &o, &p, RULE_OUT);
  assert_int_equal(o.result.outcome, HANDSHAKE_OK);
  assert_int_equal(o.result.rx_records, 0);
  assert_int_equal(purse_count(resume_world.client_id), 0);
  shutdown(o.fd, SHUT_RDWR);
  hs_peer_join(&p);
  hs_done(&o);
}

/* Says the extension as a svidwrap server does, and sends data where the tickets should be, or nothing. */
static int say(SSL *ssl, unsigned type, unsigned where, const unsigned char **out, size_t *len, X509 *x, size_t i,
               int *alert, void *arg) {
  static const unsigned char body[2] = {1, 4};
  (void)ssl, (void)type, (void)where, (void)x, (void)i, (void)alert, (void)arg;
  *out = body;
  *len = sizeof body;
  return 1;
}

static int hear(SSL *ssl, unsigned type, unsigned where, const unsigned char *in, size_t len, X509 *x, size_t i,
                int *alert, void *arg) {
  (void)ssl, (void)type, (void)where, (void)in, (void)len, (void)x, (void)i, (void)alert, (void)arg;
  return 1;
}

/* Its silence takes no longer than the program waits, its "hello" no time at all and stays in the kernel. */
static void a_server_that_promises_tickets_and_sends_none_is_served_all_the_same(void **state) {
  (void)state;
  for (int i = 0; i < 3; i++) {
    struct hs_peer p = {.server = true,
                        .ctx = pki_peer_context(resume_world.server, resume_world.ca, true),
                        .say = i ? NULL : "hello"};
    struct hs_ours o;
    int fd[2];
    resume_fresh();
    SSL_CTX_set_num_tickets(p.ctx, 0);
    assert_true(SSL_CTX_add_custom_ext(p.ctx, 0xff53, SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS, say,
                                       NULL, NULL, hear, NULL));
    hs_tcp(fd);
    p.fd = fd[1];
    hs_peer_start(&p);
    struct handshake_request request = hs_request(&resume_world, fd[0], ARENA_CLIENT, RULE_OUT);
    if (i == 1)
      request.timeout_ms = 1500;
    hs_begin(&resume_world, &o, &request);
    hs_wait(&o);
    assert_int_equal(o.result.outcome, HANDSHAKE_OK);
    assert_int_equal(o.result.rx_records, 0);
    assert_int_equal(purse_count(resume_world.client_id), 0);
    if (i == 0) {
      char record[64];
      assert_int_equal(recv(o.fd, record, sizeof record, MSG_PEEK), 5 + RECORD_OVERHEAD);
    }
    shutdown(o.fd, SHUT_RDWR);
    hs_peer_join(&p);
    hs_done(&o);
  }
}

static uint8_t brought[TICKET_MAX];
static size_t brought_len;

/* A foreign client that has one of our tickets and its secret (all sevens), and would send early data by it. */
static int bring(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *len, SSL_SESSION **session) {
  static const unsigned char psk[32] = {7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
                                        7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7};
  (void)md;
  *session = identity_context_session(ssl, 0x1301, psk, sizeof psk);
  assert_true(*session && SSL_SESSION_set_max_early_data(*session, 1000));
  *id = brought;
  *len = brought_len;
  return 1;
}

static void early_data_is_never_taken(void **state) {
  struct hs_peer p = {
      .ctx = pki_peer_context(resume_world.client, resume_world.ca, false), .greet = "early", .say = "later"};
  struct ticket_state s = good_state();
  struct hs_ours o;
  (void)state;
  resume_fresh();
  int n = ticket_seal(resume_world.server_id, &s, brought);
  assert_true(n > 0);
  brought_len = (size_t)n;
  SSL_CTX_set_psk_use_session_callback(p.ctx, bring);
  SSL_CTX_set_ciphersuites(p.ctx, "TLS_AES_128_GCM_SHA256");
  hs_meet(&resume_world, &o, &p, RULE_IN);
  assert_int_equal(o.result.outcome, HANDSHAKE_OK);
  assert_true(o.result.resumed);
  uint8_t record[64];
  assert_int_equal(recv(o.fd, record, sizeof record, MSG_PEEK), 5 + RECORD_OVERHEAD); /* "later", and nothing else */
  shutdown(o.fd, SHUT_RDWR);
  hs_peer_join(&p);
  assert_false(p.early_taken);
  hs_done(&o);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_ticket_that_is_not_good_leads_to_a_full_handshake),
      cmocka_unit_test(a_ticket_without_its_secret_is_worth_nothing),
      cmocka_unit_test(early_data_is_never_taken),
      cmocka_unit_test(a_foreign_client_is_sent_no_ticket),
      cmocka_unit_test(a_foreign_server_is_not_waited_for),
      cmocka_unit_test(a_server_that_promises_tickets_and_sends_none_is_served_all_the_same),
  };
  return cmocka_run_group_tests(tests, resume_setup, resume_teardown);
}
