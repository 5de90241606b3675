/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_handshake_hello.c - does a client's first message name the server and the protocols that the rule or the
 * program wants, and is it the same whom we trust, whatever the server answers to them?
 */
#include "support_handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct hs_world w;

static int setup(void **state) {
  (void)state;
  hs_world_open(&w);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  hs_world_close(&w);
  return 0;
}

/* A meeting in which ours dials. */
static void dial(struct hs_ours *o, struct hs_peer *p, uint32_t rule, const char *host) {
  int fd[2];
  hs_tcp(fd);
  p->fd = fd[1];
  hs_peer_start(p);
  struct handshake_request request = hs_request(&w, fd[0], ARENA_CLIENT, rule);
  request.host = host;
  hs_begin(&w, o, &request);
  hs_wait(o);
}

static void the_server_name_is_the_rules_else_what_the_program_resolved(void **state) {
  static char too_long[] =
      "a123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
      "89012345678901234567890123456789012345678901234567890123456789012345678901234567890123456"
      "789012345678901234567890123456789012345678901234567890123456789012345678901234567890.test";
  const struct {
    uint32_t rule;
    const char *host, *sni;
  } cases[] = {
      {RULE_OUT, "db.internal", "db.internal"},
      {RULE_OUT, "db.internal.", "db.internal"},
      {RULE_OUT, "10.1.2.3", ""},
      {RULE_OUT, "fd00::1", ""},
      {RULE_OUT, "", ""},
      {RULE_OUT, ".", ""},
      {RULE_OUT, "a\nb", ""},
      {RULE_OUT, too_long, ""},
      {RULE_OUT, NULL, ""},
      {RULE_OUT_SNI, "db.internal", "db.example.org"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct hs_peer p = {.server = true, .ctx = pki_peer_context(w.server, w.ca, true), .hang_up = true};
    struct hs_ours o;
    dial(&o, &p, cases[i].rule, cases[i].host);
    assert_int_equal(o.result.outcome, HANDSHAKE_OK);
    hs_peer_join(&p);
    assert_string_equal(p.sni, cases[i].sni);
    hs_done(&o);
  }
}

/* ---- protocols ------------------------------------------------------------------------------------------- */

static int choose(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                  unsigned in_len, void *arg) {
  const char *wanted = arg;
  (void)ssl;
  for (unsigned i = 0; i < in_len; i += 1u + in[i])
    if (in[i] == strlen(wanted) && memcmp(in + i + 1, wanted, in[i]) == 0) {
      *out = in + i + 1;
      *out_len = in[i];
      return SSL_TLSEXT_ERR_OK;
    }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* wanted: what the server speaks; NULL: it knows nothing of ALPN. */
static void offer(const char *offered, char *wanted, enum handshake_outcome outcome, const char *reason,
                  const char *selected) {
  struct policy_rule *rule = (struct policy_rule *)(uintptr_t)policy_rule_at(w.policy, RULE_OUT);
  struct hs_peer p = {.server = true, .ctx = pki_peer_context(w.server, w.ca, true), .hang_up = true};
  struct hs_ours o;
  if (wanted)
    SSL_CTX_set_alpn_select_cb(p.ctx, choose, wanted);
  rule->alpn = (const uint8_t *)offered;
  rule->alpn_len = strlen(offered);
  dial(&o, &p, RULE_OUT, NULL);
  rule->alpn = NULL;
  rule->alpn_len = 0;
  assert_int_equal(o.result.outcome, outcome);
  if (!strstr(o.result.reason, reason))
    fail_msg("%s", o.result.reason);
  hs_peer_join(&p);
  assert_string_equal(p.alpn, selected);
  hs_done(&o);
}

static void the_rules_protocols_are_offered(void **state) {
  (void)state;
  offer("\x02h2", "h2", HANDSHAKE_OK, "", "h2");
  offer("\x02h2\x08http/1.1", "http/1.1", HANDSHAKE_OK, "", "http/1.1");
}

static void a_server_may_be_silent_about_them(void **state) {
  (void)state;
  offer("\x02h2", NULL, HANDSHAKE_OK, "", "");
}

static void one_that_speaks_none_of_them_says_so(void **state) {
  (void)state;
  offer("\x02h2", "redis", HANDSHAKE_PEER_REFUSED, "no_application_protocol", "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_server_name_is_the_rules_else_what_the_program_resolved),
      cmocka_unit_test(the_rules_protocols_are_offered),
      cmocka_unit_test(a_server_may_be_silent_about_them),
      cmocka_unit_test(one_that_speaks_none_of_them_says_so),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
