/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_handshake_faults.c - peers that speak no TLS, or an old one, or garbage, or nothing: does each end with the
 * right outcome, and does none of them hinder another?
 */
#include "support_handshake.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
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

static void outcome_is(const struct hs_ours *o, enum handshake_outcome outcome, const char *reason) {
  if (o->result.outcome != outcome || !strstr(o->result.reason, reason))
    fail_msg("%s (%s), expected %s (%s)", handshake_outcome_name(o->result.outcome), o->result.reason,
             handshake_outcome_name(outcome), reason);
}

/* Ours on one end; the test plays the other by hand. */
static int begin(struct hs_ours *o, enum arena_role role, uint32_t timeout_ms) {
  int fd[2];
  hs_tcp(fd);
  struct handshake_request request = hs_request(&w, fd[0], role, role == ARENA_SERVER ? RULE_IN : RULE_OUT);
  request.timeout_ms = timeout_ms;
  hs_begin(&w, o, &request);
  return fd[1];
}

/* ---- no TLS ---------------------------------------------------------------------------------------------- */

static const struct {
  const char *bytes;
  size_t len;
  const char *why;
} foreign[] = {
    {"GET / HTTP/1.1\r\n\r\n", 18, "plaintext or not TLS: first bytes 47 45 54 20 2f"},
    {"PING", 4, "first bytes 50 49 4e 47"}, /* shorter than a record's header: answered at once all the same */
    {"\n", 1, "first bytes 0a"},
    {"\0\0\0\0\0\0\0\0", 8, "first bytes 00 00 00 00 00"},
    {"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10", 11, "first bytes 80 2e 01 03 01"}, /* an SSLv2 hello */
    {"\x16\x02\x00\x00\x05", 5, "first bytes 16 02"},
    {"\x17\x03\x03\x00\x05hello", 10, "first bytes 17 03 03 00 05"},
};

static void plaintext_is_known_by_its_first_bytes(void **state) {
  (void)state;
  for (size_t i = 0; i < 2 * sizeof foreign / sizeof foreign[0]; i++) {
    struct hs_ours o;
    int peer = begin(&o, i % 2 ? ARENA_CLIENT : ARENA_SERVER, 15000);
    assert_int_equal(write(peer, foreign[i / 2].bytes, foreign[i / 2].len), foreign[i / 2].len);
    hs_wait(&o);
    outcome_is(&o, HANDSHAKE_NOT_TLS, foreign[i / 2].why);
    assert_int_equal(handshake_errno(o.result.outcome, EACCES), EPROTO);
    hs_done(&o);
    close(peer);
  }
}

/* What looks like TLS at first and is not: every byte after the header is noise. */
static void garbage_in_tls_clothes_is_refused(void **state) {
  unsigned seed = 1;
  (void)state;
  for (int i = 0; i < 64; i++) {
    uint8_t noise[300] = {22, 3, 1, 0x01, 0x27};
    struct hs_ours o;
    for (size_t j = 5; j < sizeof noise; j++)
      noise[j] = (uint8_t)rand_r(&seed);
    int peer = begin(&o, i % 2 ? ARENA_CLIENT : ARENA_SERVER, 15000);
    assert_int_equal(write(peer, noise, sizeof noise), sizeof noise);
    shutdown(peer, SHUT_WR);
    hs_wait(&o);
    if (o.result.outcome != HANDSHAKE_NOT_TLS && o.result.outcome != HANDSHAKE_PEER_CLOSED)
      fail_msg("%s (%s)", handshake_outcome_name(o.result.outcome), o.result.reason);
    assert_true(o.result.reason[0] != '\0');
    hs_done(&o);
    close(peer);
  }
}

static void tls_1_2_is_too_old_in_both_roles(void **state) {
  (void)state;
  for (int we_serve = 0; we_serve < 2; we_serve++) {
    struct hs_peer p = {.server = !we_serve};
    p.ctx = pki_peer_context(we_serve ? w.client : w.server, NULL, !we_serve);
    SSL_CTX_set_max_proto_version(p.ctx, TLS1_2_VERSION);
    struct hs_ours o;
    hs_meet(&w, &o, &p, we_serve ? RULE_IN : RULE_OUT);
    outcome_is(&o, HANDSHAKE_NOT_TLS, "peer offers no TLS 1.3");
    hs_peer_join(&p);
    assert_true(p.rc != 1);
    hs_done(&o);
  }
}

static void a_peer_without_our_groups_is_refused(void **state) {
  struct hs_peer p = {.ctx = pki_peer_context(w.client, NULL, false)};
  struct hs_ours o;
  (void)state;
  SSL_CTX_set1_groups_list(p.ctx, "P-521");
  hs_meet(&w, &o, &p, RULE_IN);
  outcome_is(&o, HANDSHAKE_NOT_TLS, "peer offers neither X25519 nor P-256");
  hs_peer_join(&p);
  hs_done(&o);
}

static void too_many_certificates_are_not_read(void **state) {
  struct hs_peer p = {.ctx = pki_peer_context(w.client, NULL, false)};
  struct hs_ours o;
  (void)state;
  for (int i = 0; i < 300; i++)
    SSL_CTX_add1_chain_cert(p.ctx, w.ca->cert);
  hs_meet(&w, &o, &p, RULE_IN);
  outcome_is(&o, HANDSHAKE_UNVERIFIED, "longer than 100 KB");
  hs_peer_join(&p);
  hs_done(&o);
}

/* ---- peers that go away, or do nothing ------------------------------------------------------------------------ */

static void a_peer_that_hangs_up_is_reported(void **state) {
  static const struct linger at_once = {1, 0};
  (void)state;
  for (int i = 0; i < 4; i++) {
    struct hs_ours o;
    int peer = begin(&o, i % 2 ? ARENA_CLIENT : ARENA_SERVER, 15000);
    if (i >= 2) /* a reset instead of an end */
      setsockopt(peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(peer);
    hs_wait(&o);
    assert_int_equal(o.result.outcome, HANDSHAKE_PEER_CLOSED);
    assert_int_equal(handshake_errno(o.result.outcome, EACCES), ECONNRESET);
    hs_done(&o);
  }
}

/* The daemon must not die of SIGPIPE. */
static void a_socket_that_is_shut_for_writing_kills_nobody(void **state) {
  struct hs_ours o;
  int fd[2];
  (void)state;
  hs_tcp(fd);
  shutdown(fd[0], SHUT_WR);
  struct handshake_request request = hs_request(&w, fd[0], ARENA_CLIENT, RULE_OUT);
  hs_begin(&w, &o, &request);
  hs_wait(&o);
  outcome_is(&o, HANDSHAKE_PEER_CLOSED, "Broken pipe");
  hs_done(&o);
  close(fd[1]);
}

static void a_file_is_no_socket(void **state) {
  struct hs_ours o;
  (void)state;
  struct handshake_request request = hs_request(&w, open("/dev/null", O_RDWR | O_CLOEXEC), ARENA_SERVER, RULE_IN);
  hs_begin(&w, &o, &request);
  hs_wait(&o);
  outcome_is(&o, HANDSHAKE_INTERNAL, "cannot be waited for");
  hs_done(&o);
}

static void a_peer_that_says_nothing_times_out(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    struct hs_ours o;
    int peer = begin(&o, i ? ARENA_CLIENT : ARENA_SERVER, 50);
    hs_wait(&o);
    outcome_is(&o, HANDSHAKE_TIMEOUT, "the peer sent nothing within 50 ms");
    assert_int_equal(handshake_errno(o.result.outcome, EACCES), ETIMEDOUT);
    hs_done(&o);
    close(peer);
  }
}

/* Activity does not buy time: the deadline is for the whole. */
static void a_peer_that_drips_times_out(void **state) {
  static const uint8_t start[] = {22, 3, 1, 0x40, 0x00, 1, 0, 0x3f, 0xfc, 3, 3};
  struct hs_ours o;
  int peer = begin(&o, ARENA_SERVER, 1500);
  (void)state;
  for (size_t i = 0; hs_calls(&o) == 0 && i < 2000; i++) {
    (void)!send(peer, i < sizeof start ? &start[i] : &start[0], 1, MSG_NOSIGNAL);
    usleep(10000);
  }
  hs_wait(&o);
  outcome_is(&o, HANDSHAKE_TIMEOUT, "the peer did not finish the handshake within 1500 ms");
  hs_done(&o);
  close(peer);
}

#define STALLED 1000

static void a_thousand_stalled_peers_do_not_hinder_a_good_one(void **state) {
  static const uint8_t half[] = {22, 3, 1, 0x02, 0x00, 1, 0, 1, 0xfc, 3, 3, 1, 2, 3};
  static struct hs_ours stalled[STALLED];
  static int peers[STALLED];
  struct rlimit limit;
  (void)state;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < 2 * STALLED + 100)
    skip();
  for (int i = 0; i < STALLED; i++) {
    peers[i] = begin(&stalled[i], i % 8 == 7 ? ARENA_CLIENT : ARENA_SERVER, 600000);
    if (i % 2)
      assert_int_equal(write(peers[i], half, sizeof half), sizeof half);
  }
  for (int i = 0; i < 8; i++) {
    struct hs_peer p = {.ctx = pki_peer_context(w.client, w.ca, false), .hang_up = true};
    struct hs_ours o;
    hs_meet(&w, &o, &p, RULE_IN);
    outcome_is(&o, HANDSHAKE_OK, "");
    hs_peer_join(&p);
    hs_done(&o);
  }
  for (int i = 0; i < STALLED; i++)
    assert_int_equal(hs_calls(&stalled[i]), 0);
  handshake_pool_free(w.pool); /* ends what is under way */
  for (int i = 0; i < STALLED; i++) {
    outcome_is(&stalled[i], HANDSHAKE_CANCELLED, "");
    hs_done(&stalled[i]);
    close(peers[i]);
  }
  w.pool = handshake_pool_new(2);
}

/* ---- cancelling --------------------------------------------------------------------------------------------------
 */

static void cancel_ends_it_once(void **state) {
  struct hs_ours o;
  int peer = begin(&o, ARENA_SERVER, 600000);
  (void)state;
  handshake_cancel(w.pool, o.id + 1000); /* nobody's number */
  handshake_cancel(w.pool, o.id);
  handshake_cancel(w.pool, o.id);
  hs_wait(&o);
  outcome_is(&o, HANDSHAKE_CANCELLED, "cancelled");
  handshake_cancel(w.pool, o.id);
  usleep(20000);
  hs_done(&o); /* checks that the callback ran once */
  close(peer);
}

/* Whoever wins, there is one answer. */
static void cancel_may_race_with_the_end(void **state) {
  (void)state;
  for (int i = 0; i < 200; i++) {
    struct hs_ours o;
    int peer = begin(&o, ARENA_SERVER, 600000);
    if (i % 2)
      (void)!write(peer, "x", 1);
    if (i % 3)
      usleep((useconds_t)(i % 7) * 10);
    handshake_cancel(w.pool, o.id);
    hs_wait(&o);
    assert_true(o.result.outcome == HANDSHAKE_CANCELLED || o.result.outcome == HANDSHAKE_NOT_TLS);
    hs_done(&o);
    close(peer);
  }
}

/* ---- dialing
 * --------------------------------------------------------------------------------------------------------- */

static int dial(const struct sockaddr_in *to) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  assert_int_equal(connect(fd, (const struct sockaddr *)to, sizeof *to), -1);
  assert_int_equal(errno, EINPROGRESS);
  return fd;
}

static int listener(struct sockaddr_in *a, int backlog) {
  socklen_t len = sizeof *a;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  *a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  assert_int_equal(bind(fd, (struct sockaddr *)a, sizeof *a), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)a, &len), 0);
  if (backlog >= 0)
    assert_int_equal(listen(fd, backlog), 0);
  return fd;
}

static void begin_dial(struct hs_ours *o, int fd, uint32_t timeout_ms) {
  struct handshake_request request = hs_request(&w, fd, ARENA_CLIENT, RULE_OUT);
  request.connecting = true;
  request.timeout_ms = timeout_ms;
  hs_begin(&w, o, &request);
}

/* The program must learn the reason from the kernel: it is still there. */
static void a_refused_dial_leaves_so_error_alone(void **state) {
  struct sockaddr_in nobody;
  int reserved = listener(&nobody, -1), error = 0;
  socklen_t len = sizeof error;
  struct hs_ours o;
  (void)state;
  begin_dial(&o, dial(&nobody), 15000);
  hs_wait(&o);
  outcome_is(&o, HANDSHAKE_TCP_FAILED, "TCP connect failed");
  assert_int_equal(getsockopt(o.fd, SOL_SOCKET, SO_ERROR, &error, &len), 0);
  assert_int_equal(error, ECONNREFUSED);
  hs_done(&o);
  close(reserved);
}

/* So it is with a reset that comes later, by the peer or by the program's own shutdown(). */
static void a_reset_in_the_middle_leaves_so_error_alone(void **state) {
  static const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
  (void)state;
  for (int i = 0; i < 2; i++) {
    struct hs_ours o;
    int fd[2], error = 0;
    socklen_t len = sizeof error;
    char hello;
    hs_tcp(fd);
    struct handshake_request request = hs_request(&w, fd[0], ARENA_CLIENT, RULE_OUT);
    hs_begin(&w, &o, &request);
    assert_int_equal(recv(fd[1], &hello, 1, MSG_PEEK), 1);
    /* Not by connect(), which a thread sanitizer takes for the making of a socket. */
    assert_int_equal(syscall(SYS_connect, fd[i], &nobody, sizeof nobody), 0);
    hs_wait(&o);
    outcome_is(&o, HANDSHAKE_PEER_CLOSED, "Connection reset by peer");
    assert_int_equal(getsockopt(o.fd, SOL_SOCKET, SO_ERROR, &error, &len), 0);
    assert_int_equal(error, ECONNRESET);
    hs_done(&o);
    close(fd[1]);
  }
}

static void a_dial_that_never_connects_times_out(void **state) {
  struct sockaddr_in a;
  int busy = listener(&a, 0), fill[4];
  struct hs_ours o;
  (void)state;
  for (int i = 0; i < 4; i++) /* until the backlog is full and SYNs are dropped */
    fill[i] = dial(&a);
  begin_dial(&o, dial(&a), 100);
  hs_wait(&o);
  outcome_is(&o, HANDSHAKE_TIMEOUT, "TCP did not connect within 100 ms");
  hs_done(&o);
  for (int i = 0; i < 4; i++)
    close(fill[i]);
  close(busy);
}

static void a_dial_goes_on_to_the_handshake(void **state) {
  struct sockaddr_in a;
  int l = listener(&a, 16), fd = dial(&a);
  struct hs_peer p = {.server = true, .ctx = pki_peer_context(w.server, w.ca, true), .hang_up = true};
  struct hs_ours o;
  (void)state;
  begin_dial(&o, fd, 15000);
  p.fd = accept4(l, NULL, NULL, SOCK_CLOEXEC);
  hs_peer_start(&p);
  hs_wait(&o);
  outcome_is(&o, HANDSHAKE_OK, "");
  hs_peer_join(&p);
  assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
  hs_done(&o);
  close(l);
}

/* The SVID was good when the handshake began. The peer, which does not look at it, takes its time. */
static void our_svid_must_not_expire_on_the_way(void **state) {
  struct pki_svid *brief =
      pki_issue(w.ca, &(struct pki_leaf){.id = "spiffe://example.org/server", .valid = {.from = -60, .until = 2}});
  struct identity *id = pki_identity(brief, (struct pki_ca *[]){w.ca, NULL});
  struct hs_ours o;
  int fd[2];
  (void)state;
  hs_tcp(fd);
  struct handshake_request request = hs_request(&w, fd[0], ARENA_SERVER, RULE_IN);
  request.identity = id;
  request.svid = identity_svid_at(id, 0);
  hs_begin(&w, &o, &request);
  while (time(NULL) < request.svid->not_after)
    usleep(50000);
  struct hs_peer p = {.fd = fd[1], .ctx = pki_peer_context(w.client, NULL, false)};
  hs_peer_start(&p);
  hs_wait(&o);
  outcome_is(&o, HANDSHAKE_INTERNAL, "our SVID expired");
  hs_peer_join(&p);
  hs_done(&o);
  identity_unref(id);
  pki_svid_free(brief);
}

/* ---- many at once
 * ------------------------------------------------------------------------------------------------------ */

static void both_ends_may_be_ours(void **state) {
  enum { PAIRS = 100 };
  static struct hs_ours server[PAIRS], client[PAIRS];
  (void)state;
  for (int i = 0; i < PAIRS; i++) {
    int fd[2];
    hs_tcp(fd);
    struct handshake_request serve = hs_request(&w, fd[0], ARENA_SERVER, RULE_IN);
    struct handshake_request call = hs_request(&w, fd[1], ARENA_CLIENT, RULE_OUT);
    hs_begin(&w, &server[i], &serve);
    hs_begin(&w, &client[i], &call);
  }
  for (int i = 0; i < PAIRS; i++) {
    hs_wait(&server[i]);
    hs_wait(&client[i]);
    outcome_is(&server[i], HANDSHAKE_OK, "");
    outcome_is(&client[i], HANDSHAKE_OK, "");
    assert_memory_equal(server[i].result.rx_secret, client[i].result.tx_secret, ARENA_SECRET_MAX);
    assert_memory_equal(server[i].result.tx_secret, client[i].result.rx_secret, ARENA_SECRET_MAX);
    assert_true(memcmp(client[i].result.rx_secret, client[i].result.tx_secret, 32) != 0);
    hs_done(&server[i]);
    hs_done(&client[i]);
  }
}

/* When one of ours refuses the other, both know why. */
static void ours_refused_by_ours(void **state) {
  struct identity *id = pki_identity(w.stranger, (struct pki_ca *[]){w.ca, NULL});
  struct hs_ours server, client;
  int fd[2];
  (void)state;
  hs_tcp(fd);
  struct handshake_request serve = hs_request(&w, fd[0], ARENA_SERVER, RULE_IN);
  struct handshake_request call = hs_request(&w, fd[1], ARENA_CLIENT, RULE_OUT);
  serve.identity = id;
  serve.svid = identity_svid_at(id, 0);
  hs_begin(&w, &server, &serve);
  hs_begin(&w, &client, &call);
  hs_wait(&server);
  hs_wait(&client);
  outcome_is(&client, HANDSHAKE_DENIED, "not in allow");
  outcome_is(&server, HANDSHAKE_PEER_REFUSED, "alert access_denied");
  hs_done(&server);
  hs_done(&client);
  identity_unref(id);
}

static void outcomes_have_names_and_errnos(void **state) {
  (void)state;
  assert_int_equal(handshake_errno(HANDSHAKE_OK, EACCES), 0);
  assert_int_equal(handshake_errno(HANDSHAKE_DENIED, EHOSTUNREACH), EHOSTUNREACH);
  assert_int_equal(handshake_errno(HANDSHAKE_DENIED, 0), EACCES);
  assert_int_equal(handshake_errno(HANDSHAKE_UNVERIFIED, EHOSTUNREACH), EACCES);
  assert_int_equal(handshake_errno(HANDSHAKE_INTERNAL, EACCES), EIO);
  assert_int_equal(handshake_errno((enum handshake_outcome)99, EACCES), EIO);
  assert_string_equal(handshake_outcome_name(HANDSHAKE_NOT_TLS), "not_tls");
  assert_string_equal(handshake_alert_name(49), "access_denied");
  assert_string_equal(handshake_alert_name(200), "unknown_alert");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(plaintext_is_known_by_its_first_bytes),
      cmocka_unit_test(garbage_in_tls_clothes_is_refused),
      cmocka_unit_test(tls_1_2_is_too_old_in_both_roles),
      cmocka_unit_test(a_peer_without_our_groups_is_refused),
      cmocka_unit_test(too_many_certificates_are_not_read),
      cmocka_unit_test(a_peer_that_hangs_up_is_reported),
      cmocka_unit_test(a_socket_that_is_shut_for_writing_kills_nobody),
      cmocka_unit_test(a_file_is_no_socket),
      cmocka_unit_test(a_peer_that_says_nothing_times_out),
      cmocka_unit_test(a_peer_that_drips_times_out),
      cmocka_unit_test(a_thousand_stalled_peers_do_not_hinder_a_good_one),
      cmocka_unit_test(cancel_ends_it_once),
      cmocka_unit_test(cancel_may_race_with_the_end),
      cmocka_unit_test(a_refused_dial_leaves_so_error_alone),
      cmocka_unit_test(a_reset_in_the_middle_leaves_so_error_alone),
      cmocka_unit_test(a_dial_that_never_connects_times_out),
      cmocka_unit_test(a_dial_goes_on_to_the_handshake),
      cmocka_unit_test(our_svid_must_not_expire_on_the_way),
      cmocka_unit_test(both_ends_may_be_ours),
      cmocka_unit_test(ours_refused_by_ours),
      cmocka_unit_test(outcomes_have_names_and_errnos),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
