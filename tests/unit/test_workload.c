/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_workload.c - the Workload API client against an agent that the test drives by hand: what an update, a
 * refusal, a defect, a broken stream and a dead connection become.
 */
#include "support_workload.h"

#include <openssl/crypto.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define SVIDS   "/SpiffeWorkloadAPI/FetchX509SVID"
#define BUNDLES "/SpiffeWorkloadAPI/FetchX509Bundles"

struct rig {
  struct inbox *inbox;
  struct puppet *agent;
  struct workload_client *client;
};

static struct rig rig_new(void) {
  int sv[2];
  struct rig r;
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
  r.inbox = inbox_new();
  r.agent = puppet_new(sv[1]);
  r.client = workload_open_fd(sv[0], inbox_put, r.inbox);
  assert_non_null(r.client);
  puppet_wait_call(r.agent, SVIDS);
  return r;
}

static void rig_free(struct rig *r) {
  workload_close(r->client);
  if (r->agent)
    puppet_free(r->agent);
  inbox_free(r->inbox);
}

static void send_good(struct puppet *p) {
  size_t len;
  uint8_t *msg = good_svids(&len);
  assert_true(puppet_send(p, msg, len));
  OPENSSL_free(msg);
}

static void every_reply_is_a_whole_new_identity(void **state) {
  (void)state;
  struct rig r = rig_new();
  send_good(r.agent);
  struct seen a = inbox_next(r.inbox);
  assert_int_equal(a.event, WORKLOAD_UPDATE);
  assert_int_equal(identity_svid_count(a.identity), 1);
  assert_string_equal(identity_svid_at(a.identity, 0)->id.text, "spiffe://example.org/dev");
  send_good(r.agent);
  struct seen b = inbox_next(r.inbox);
  assert_int_equal(b.event, WORKLOAD_UPDATE);
  assert_true(identity_generation(b.identity) > identity_generation(a.identity));
  identity_unref(a.identity);
  identity_unref(b.identity);
  rig_free(&r);
}

static void a_denial_is_told_once_and_asked_again_on_the_same_connection(void **state) {
  (void)state;
  struct rig r = rig_new();
  send_good(r.agent);
  inbox_expect(r.inbox, WORKLOAD_UPDATE, "");
  puppet_end(r.agent, 7, "no identity issued");
  inbox_expect(r.inbox, WORKLOAD_DENIED, "no identity issued");
  puppet_wait_call(r.agent, SVIDS);
  puppet_end(r.agent, 7, "no identity issued");
  puppet_wait_call(r.agent, SVIDS);
  puppet_end(r.agent, 7, "other words");
  inbox_expect(r.inbox, WORKLOAD_DENIED, "other words"); /* not the same words again before */
  puppet_wait_call(r.agent, SVIDS);
  send_good(r.agent);
  inbox_expect(r.inbox, WORKLOAD_UPDATE, "");
  puppet_end(r.agent, 7, "other words");
  inbox_expect(r.inbox, WORKLOAD_DENIED, "other words");
  rig_free(&r);
}

static void a_defective_reply_leaves_the_stream_to_a_better_one(void **state) {
  (void)state;
  struct rig r = rig_new();
  size_t len;
  uint8_t *msg = good_svids(&len);
  assert_true(puppet_send(r.agent, "\xff\xff\xff junk", 8));
  inbox_expect(r.inbox, WORKLOAD_BAD_REPLY, "not an X509SVIDResponse");
  assert_true(puppet_send(r.agent, "", 0)); /* an empty message is a reply without an SVID */
  inbox_expect(r.inbox, WORKLOAD_BAD_REPLY, "");
  assert_true(puppet_send(r.agent, msg, len - 1));
  inbox_expect(r.inbox, WORKLOAD_BAD_REPLY, "");
  assert_true(puppet_send(r.agent, msg, len));
  inbox_expect(r.inbox, WORKLOAD_UPDATE, "");
  OPENSSL_free(msg);
  rig_free(&r);
}

static void an_oversized_reply_is_refused_and_the_stream_opened_again(void **state) {
  (void)state;
  struct rig r = rig_new();
  size_t len = 17u * 1024 * 1024;
  char *huge = calloc(1, len);
  assert_non_null(huge);
  puppet_send(r.agent, huge, len);
  free(huge);
  puppet_wait_cancel(r.agent);
  inbox_expect(r.inbox, WORKLOAD_BAD_REPLY, "larger than max");
  puppet_wait_call(r.agent, SVIDS);
  send_good(r.agent);
  inbox_expect(r.inbox, WORKLOAD_UPDATE, "");
  rig_free(&r);
}

static void a_reply_just_below_the_limit_arrives(void **state) {
  (void)state;
  struct rig r = rig_new();
  size_t len = WORKLOAD_MESSAGE_MAX;
  char *large = calloc(1, len);
  assert_non_null(large);
  assert_true(puppet_send(r.agent, large, len));
  free(large);
  inbox_expect(r.inbox, WORKLOAD_BAD_REPLY,
               "16777216 bytes"); /* it was read; that it is nonsense is another matter */
  rig_free(&r);
}

static void a_broken_stream_is_asked_for_again(void **state) {
  (void)state;
  static const struct {
    int code;
    const char *text;
    enum workload_event event;
  } t[] = {
      {14, "shutting down", WORKLOAD_UNAVAILABLE}, {0, "", WORKLOAD_UNAVAILABLE},
      {13, "internal", WORKLOAD_UNAVAILABLE},      {8, "too many calls", WORKLOAD_UNAVAILABLE},
      {3, "no header", WORKLOAD_BAD_REPLY},        {12, "no such method", WORKLOAD_BAD_REPLY},
  };
  for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
    struct rig r = rig_new();
    send_good(r.agent);
    inbox_expect(r.inbox, WORKLOAD_UPDATE, "");
    puppet_end(r.agent, t[i].code, t[i].text);
    inbox_expect(r.inbox, t[i].event, t[i].text);
    puppet_wait_call(r.agent, SVIDS);
    send_good(r.agent);
    inbox_expect(r.inbox, WORKLOAD_UPDATE, "");
    rig_free(&r);
  }
}

static void a_dead_connection_is_gone_for_good(void **state) {
  (void)state;
  struct rig r = rig_new();
  send_good(r.agent);
  inbox_expect(r.inbox, WORKLOAD_UPDATE, "");
  puppet_free(r.agent);
  r.agent = NULL;
  inbox_expect_gone(r.inbox, "");
  rig_free(&r);
}

static void a_connection_that_dies_while_denied_is_gone(void **state) {
  (void)state;
  struct rig r = rig_new();
  puppet_end(r.agent, 7, "no identity issued");
  inbox_expect(r.inbox, WORKLOAD_DENIED, "");
  puppet_free(r.agent);
  r.agent = NULL;
  inbox_expect_gone(r.inbox, "");
  rig_free(&r);
}

static void goaway_lets_the_stream_live_and_ends_the_connection_after_it(void **state) {
  (void)state;
  struct rig r = rig_new();
  send_good(r.agent);
  inbox_expect(r.inbox, WORKLOAD_UPDATE, "");
  puppet_goaway(r.agent);
  send_good(r.agent);
  inbox_expect(r.inbox, WORKLOAD_UPDATE, "");
  puppet_end(r.agent, 14, "moving");
  inbox_expect_gone(r.inbox, "");
  rig_free(&r);
}

static void garbage_instead_of_http2_is_gone(void **state) {
  (void)state;
  int sv[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
  struct inbox *in = inbox_new();
  struct workload_client *c = workload_open_fd(sv[0], inbox_put, in);
  char junk[4096];
  memset(junk, 'x', sizeof junk);
  assert_int_equal(write(sv[1], junk, sizeof junk), sizeof junk);
  inbox_expect_gone(in, "");
  workload_close(c);
  close(sv[1]);
  inbox_free(in);
}

static void a_descriptor_that_is_no_connection_is_gone_and_no_crash(void **state) {
  (void)state;
  int p[2], dgram[2];
  assert_int_equal(pipe2(p, O_CLOEXEC), 0);
  assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, dgram), 0);
  int fds[] = {p[0],
               p[1],
               dgram[0],
               open("/dev/null", O_RDWR | O_CLOEXEC),
               open("/", O_RDONLY | O_CLOEXEC),
               socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
               -1};
  for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
    struct inbox *in = inbox_new();
    struct workload_client *c = workload_open_fd(fds[i], inbox_put, in);
    inbox_expect_gone(in, "not a connection");
    workload_close(c);
    inbox_free(in);
    assert_int_equal(fcntl(fds[i], F_GETFD), -1); /* it was taken over */
  }
  close(dgram[1]);
}

static void bundles_come_by_their_own_stream(void **state) {
  (void)state;
  int sv[2];
  size_t len;
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
  struct inbox *in = inbox_new();
  struct puppet *agent = puppet_new(sv[1]);
  struct workload_client *c = workload_open_bundles_fd(sv[0], inbox_put_bundles, in);
  puppet_wait_call(agent, BUNDLES);
  uint8_t *msg = good_bundles(&len);
  assert_true(puppet_send(agent, msg, len));
  struct seen s = inbox_next(in);
  assert_int_equal(s.event, WORKLOAD_UPDATE);
  assert_int_equal(s.bundle_count, 1);
  assert_string_equal(s.bundle_names[0], "spiffe://example.org");
  msg[len - 1] ^= 0x5a; /* the last byte of a signature: still DER */
  assert_true(puppet_send(agent, msg, len));
  inbox_expect(in, WORKLOAD_UPDATE, "");
  assert_true(puppet_send(agent, msg, len - 7));
  inbox_expect(in, WORKLOAD_BAD_REPLY, "");
  assert_true(puppet_send(agent, "", 0));
  inbox_expect(in, WORKLOAD_BAD_REPLY, "");
  puppet_end(agent, 7, "no identity issued");
  inbox_expect(in, WORKLOAD_DENIED, "");
  OPENSSL_free(msg);
  workload_close(c);
  puppet_free(agent);
  inbox_free(in);
}

/* ---- closing ------------------------------------------------------------------------------------------------- */

struct slow {
  atomic_int running, after_close, closed;
};

static void slow_callback(void *arg, enum workload_event event, struct identity *identity, int code,
                          const char *message) {
  struct slow *s = arg;
  (void)event;
  (void)code;
  (void)message;
  atomic_fetch_add(&s->running, 1);
  if (atomic_load(&s->closed))
    atomic_fetch_add(&s->after_close, 1);
  usleep(2000);
  identity_unref(identity);
  atomic_fetch_sub(&s->running, 1);
}

static void no_callback_runs_after_close(void **state) {
  (void)state;
  size_t len;
  uint8_t *msg = good_svids(&len);
  for (int i = 0; i < 60; i++) {
    int sv[2];
    struct slow s = {0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
    struct puppet *agent = puppet_new(sv[1]);
    struct workload_client *c = workload_open_fd(sv[0], slow_callback, &s);
    puppet_wait_call(agent, SVIDS);
    puppet_send(agent, msg, len);
    puppet_send(agent, msg, len);
    usleep((unsigned)(i % 6) * 700);
    workload_close(c);
    assert_int_equal(atomic_load(&s.running), 0);
    atomic_store(&s.closed, 1);
    puppet_free(agent);
    assert_int_equal(atomic_load(&s.after_close), 0);
  }
  OPENSSL_free(msg);
}

static size_t open_fds(void) {
  DIR *d = opendir("/proc/self/fd");
  size_t n = 0;
  while (d && readdir(d))
    n++;
  closedir(d);
  return n;
}

static void no_descriptor_is_left_behind(void **state) {
  (void)state;
  size_t before = open_fds(), after = 0;
  for (int i = 0; i < 50; i++) {
    int sv[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
    struct inbox *in = inbox_new();
    struct workload_client *c = workload_open_fd(sv[0], inbox_put, in);
    close(sv[1]);
    if (i % 2)
      inbox_expect_gone(in, "");
    workload_close(c);
    inbox_free(in);
  }
  for (int i = 0; i < WAIT_S * 100 && (after = open_fds()) > before; i++)
    usleep(10000); /* gRPC closes them in its own time */
  assert_true(after <= before);
}

static int start(void **state) {
  (void)state;
  signal(SIGPIPE, SIG_IGN);
  return workload_start();
}

static int stop(void **state) {
  (void)state;
  workload_stop();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_reply_is_a_whole_new_identity),
      cmocka_unit_test(a_denial_is_told_once_and_asked_again_on_the_same_connection),
      cmocka_unit_test(a_defective_reply_leaves_the_stream_to_a_better_one),
      cmocka_unit_test(an_oversized_reply_is_refused_and_the_stream_opened_again),
      cmocka_unit_test(a_reply_just_below_the_limit_arrives),
      cmocka_unit_test(a_broken_stream_is_asked_for_again),
      cmocka_unit_test(a_dead_connection_is_gone_for_good),
      cmocka_unit_test(a_connection_that_dies_while_denied_is_gone),
      cmocka_unit_test(goaway_lets_the_stream_live_and_ends_the_connection_after_it),
      cmocka_unit_test(garbage_instead_of_http2_is_gone),
      cmocka_unit_test(a_descriptor_that_is_no_connection_is_gone_and_no_crash),
      cmocka_unit_test(bundles_come_by_their_own_stream),
      cmocka_unit_test(no_callback_runs_after_close),
      cmocka_unit_test(no_descriptor_is_left_behind),
  };
  return cmocka_run_group_tests(tests, start, stop);
}
