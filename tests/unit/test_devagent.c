/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_devagent.c - the dev agent as a process, seen by the project's own client: what it issues, renews, takes
 * away and rotates.
 */
#include "support_devagent.h"
#include "support_workload.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* An entry for this test's own user. */
#define MINE(id, more) "  - { spiffe_id: \"" id "\", selectors: [\"unix:uid:%u\"]" more " }\n"

static const char *config(const char *format) {
  static char text[2048];
  snprintf(text, sizeof text, format, (unsigned)geteuid(), (unsigned)geteuid(), (unsigned)geteuid());
  return text;
}

struct rig {
  struct agent_process agent;
  struct inbox *inbox;
  struct workload_client *client;
};

static struct rig rig_new(const char *text, const char *const more[]) {
  struct rig r;
  agent_prepare(&r.agent, text);
  agent_start(&r.agent, more);
  r.inbox = inbox_new();
  r.client = workload_open_fd(agent_dial(&r.agent), inbox_put, r.inbox);
  assert_non_null(r.client);
  return r;
}

static void rig_free(struct rig *r) {
  workload_close(r->client);
  inbox_free(r->inbox);
  agent_cleanup(&r->agent);
}

static struct identity *update(struct rig *r) {
  struct seen s = inbox_next(r->inbox);
  if (s.event != WORKLOAD_UPDATE)
    fail_msg("event %d \"%s\" came instead of an update", (int)s.event, s.message);
  return s.identity;
}

static void without_a_config_the_caller_is_dev(void **state) {
  (void)state;
  struct rig r = rig_new(NULL, NULL);
  struct identity *id = update(&r);
  assert_int_equal(identity_svid_count(id), 1);
  assert_string_equal(identity_svid_at(id, 0)->id.text, "spiffe://example.org/dev");
  identity_unref(id);
  rig_free(&r);
}

static void svids_are_what_the_standard_asks_for(void **state) {
  (void)state;
  struct rig r = rig_new(config("svid_ttl: 90s\nentries:\n" MINE("spiffe://example.org/a", "")), NULL);
  struct identity *id = update(&r);
  const struct identity_svid *s = identity_svid_at(id, 0);
  int critical = 0;
  ASN1_BIT_STRING *ku = X509_get_ext_d2i(s->leaf, NID_key_usage, &critical, NULL);
  assert_non_null(ku);
  assert_int_equal(critical, 1);
  assert_int_equal(ASN1_BIT_STRING_get_bit(ku, 0), 1); /* digitalSignature */
  assert_int_equal(ASN1_BIT_STRING_get_bit(ku, 5), 0); /* keyCertSign */
  ASN1_BIT_STRING_free(ku);
  uint32_t both = XKU_SSL_SERVER | XKU_SSL_CLIENT;
  assert_int_equal(X509_get_extended_key_usage(s->leaf) & both, both);
  assert_int_equal(X509_check_ca(s->leaf), 0);
  assert_true(X509_get_ext_by_NID(s->leaf, NID_basic_constraints, -1) >= 0);
  assert_non_null(X509_get0_subject_key_id(s->leaf));
  assert_non_null(X509_get0_authority_key_id(s->leaf));
  GENERAL_NAMES *san = X509_get_ext_d2i(s->leaf, NID_subject_alt_name, NULL, NULL);
  assert_int_equal(sk_GENERAL_NAME_num(san), 1);
  assert_int_equal(sk_GENERAL_NAME_value(san, 0)->type, GEN_URI);
  GENERAL_NAMES_free(san);
  assert_int_equal(EVP_PKEY_get_bits(s->key), 256);
  assert_true(s->not_before < time(NULL));
  assert_true(s->not_after - s->not_before >= 90 && s->not_after - s->not_before <= 110);
  identity_unref(id);
  rig_free(&r);
}

static void every_matching_entry_gives_an_svid_in_the_order_of_the_file(void **state) {
  (void)state;
  struct rig r = rig_new(
      config("entries:\n" MINE("spiffe://example.org/z", ", hint: internal") MINE(
          "spiffe://example.org/a",
          ", hint: external") "  - { spiffe_id: "
                              "spiffe://example.org/no, selectors: [\"unix:uid:%u\", \"unix:uid:123456\"] }\n"),
      NULL);
  struct identity *id = update(&r);
  assert_int_equal(identity_svid_count(id), 2);
  assert_string_equal(identity_svid_at(id, 0)->id.text, "spiffe://example.org/z");
  assert_string_equal(identity_svid_at(id, 0)->hint, "internal");
  assert_string_equal(identity_svid_at(id, 1)->id.text, "spiffe://example.org/a");
  assert_string_equal(identity_svid_at(id, 1)->hint, "external");
  identity_unref(id);
  rig_free(&r);
}

static void a_life_of_two_seconds_is_renewed_in_time(void **state) {
  (void)state;
  struct rig r = rig_new(config("svid_ttl: 2s\nentries:\n" MINE("spiffe://example.org/a", "")), NULL);
  time_t last = 0;
  for (int i = 0; i < 4; i++) {
    struct identity *id = update(&r);
    const struct identity_svid *s = identity_svid_at(id, 0);
    /* The one before had not ended when its successor began: no gap in which there is none. */
    assert_true(last == 0 || s->not_before < last);
    assert_true(s->not_after > last);
    last = s->not_after;
    identity_unref(id);
  }
  rig_free(&r);
}

static void an_entry_removed_is_denied_at_once_and_comes_back_on_the_same_connection(void **state) {
  (void)state;
  struct rig r = rig_new(config("entries:\n" MINE("spiffe://example.org/a", "")), NULL);
  inbox_expect(r.inbox, WORKLOAD_UPDATE, "");
  agent_configure(&r.agent, "entries: []\n");
  kill(r.agent.pid, SIGHUP);
  inbox_expect(r.inbox, WORKLOAD_DENIED, "no identity issued");
  agent_configure(&r.agent, config("entries:\n" MINE("spiffe://example.org/b", "")));
  kill(r.agent.pid, SIGHUP);
  struct identity *id = update(&r);
  assert_string_equal(identity_svid_at(id, 0)->id.text, "spiffe://example.org/b");
  identity_unref(id);
  rig_free(&r);
}

static void a_reload_pushes_what_changed_and_nothing_else(void **state) {
  (void)state;
  struct rig r = rig_new(config("entries:\n" MINE("spiffe://example.org/a", "")), NULL);
  struct identity *first = update(&r);
  kill(r.agent.pid, SIGHUP); /* nothing changed: nothing comes */
  agent_configure(&r.agent, "entries: [\n");
  kill(r.agent.pid, SIGHUP); /* broken: the old one stays */
  agent_configure(&r.agent,
                  config("entries:\n" MINE("spiffe://example.org/a", "") MINE("spiffe://example.org/b", "")));
  while (inbox_count(r.inbox) < 2) { /* signals may merge: until the last file is read */
    kill(r.agent.pid, SIGHUP);
    usleep(20000);
  }
  struct identity *second = update(&r);
  assert_int_equal(identity_svid_count(second), 2);
  /* The entry that stayed has kept its SVID. */
  assert_int_equal(X509_cmp(identity_svid_at(first, 0)->leaf, identity_svid_at(second, 0)->leaf), 0);
  identity_unref(first);
  identity_unref(second);
  rig_free(&r);
}

static void usr1_issues_new_svids(void **state) {
  (void)state;
  struct rig r = rig_new(config("entries:\n" MINE("spiffe://example.org/a", "")), NULL);
  struct identity *a = update(&r);
  kill(r.agent.pid, SIGUSR1);
  struct identity *b = update(&r);
  assert_true(X509_cmp(identity_svid_at(a, 0)->leaf, identity_svid_at(b, 0)->leaf) != 0);
  identity_unref(a);
  identity_unref(b);
  rig_free(&r);
}

/* The certificates of a PEM file. */
static STACK_OF(X509) * certificates(const char *file) {
  STACK_OF(X509) *all = sk_X509_new_null();
  FILE *f = fopen(file, "re");
  X509 *x;
  assert_non_null(f);
  while ((x = PEM_read_X509(f, NULL, NULL, NULL)))
    sk_X509_push(all, x);
  fclose(f);
  return all;
}

static bool signed_by(X509 *leaf, X509 *root) { return X509_verify(leaf, X509_get0_pubkey(root)) == 1; }

static void rotation_keeps_the_old_root_until_its_svids_are_gone(void **state) {
  (void)state;
  const char *more[] = {"--print-bundle", NULL, NULL};
  struct rig r;
  agent_prepare(&r.agent, config("svid_ttl: 4s\nentries:\n" MINE("spiffe://example.org/a", "")));
  more[1] = r.agent.bundle;
  agent_start(&r.agent, more);
  r.inbox = inbox_new();
  r.client = workload_open_fd(agent_dial(&r.agent), inbox_put, r.inbox);
  identity_unref(update(&r));
  STACK_OF(X509) *before = certificates(r.agent.bundle), *now = NULL;
  assert_int_equal(sk_X509_num(before), 1);
  kill(r.agent.pid, SIGUSR2);
  bool two = false, renewed = false, one = false;
  for (int i = 0; i < 20 && !one; i++) {
    struct identity *id = update(&r); /* identity_build() has checked it against its own bundle */
    X509 *leaf = identity_svid_at(id, 0)->leaf;
    if (now)
      sk_X509_pop_free(now, X509_free);
    now = certificates(r.agent.bundle);
    two |= sk_X509_num(now) == 2;
    renewed |= !signed_by(leaf, sk_X509_value(before, 0));
    one = renewed && sk_X509_num(now) == 1;
    if (one)
      assert_int_not_equal(X509_cmp(sk_X509_value(now, 0), sk_X509_value(before, 0)), 0);
    identity_unref(id);
  }
  assert_true(two && renewed && one);
  sk_X509_pop_free(before, X509_free);
  sk_X509_pop_free(now, X509_free);
  rig_free(&r);
}

static void federated_bundles_come_along(void **state) {
  (void)state;
  const char *partner[] = {"--print-bundle", NULL, NULL};
  struct agent_process other;
  char text[512];
  agent_prepare(&other, "trust_domain: partner.test\nentries: []\n");
  partner[1] = other.bundle;
  agent_start(&other, partner);
  snprintf(
      text, sizeof text,
      "federation:\n  - { trust_domain: partner.test, bundle: %s }\nentries:\n" MINE("spiffe://example.org/a", ""),
      other.bundle, (unsigned)geteuid());
  struct rig r = rig_new(text, NULL);
  struct identity *id = update(&r);
  assert_int_equal(identity_domain_count(id), 2);
  identity_unref(id);
  struct inbox *in = inbox_new();
  struct workload_client *c = workload_open_bundles_fd(agent_dial(&r.agent), inbox_put_bundles, in);
  struct seen s = inbox_next(in);
  assert_int_equal(s.event, WORKLOAD_UPDATE);
  assert_int_equal(s.bundle_count, 2);
  assert_string_equal(s.bundle_names[0], "spiffe://example.org");
  assert_string_equal(s.bundle_names[1], "spiffe://partner.test");
  workload_close(c);
  inbox_free(in);
  rig_free(&r);
  agent_cleanup(&other);
}

static void an_address_client_outlives_its_agent(void **state) {
  (void)state;
  struct agent_process a;
  agent_prepare(&a, NULL);
  agent_start(&a, NULL);
  struct inbox *in = inbox_new();
  struct workload_client *c = workload_open_address(a.endpoint, inbox_put, in);
  assert_non_null(c);
  inbox_expect(in, WORKLOAD_UPDATE, "");
  assert_int_equal(agent_stop(&a), 0);
  assert_int_not_equal(access(a.socket, F_OK), 0);
  inbox_expect(in, WORKLOAD_UNAVAILABLE, "");
  agent_start(&a, NULL);
  struct seen s;
  while ((s = inbox_next(in)).event == WORKLOAD_UNAVAILABLE)
    ;
  assert_int_equal(s.event, WORKLOAD_UPDATE);
  identity_unref(s.identity);
  workload_close(c);
  inbox_free(in);
  agent_cleanup(&a);
}

static void a_socket_in_use_is_left_alone_and_a_stale_one_taken(void **state) {
  (void)state;
  char printed[1024];
  struct agent_process a;
  agent_prepare(&a, NULL);
  agent_start(&a, NULL);
  const char *args[] = {"--socket", a.socket, NULL};
  assert_int_equal(agent_run(args, printed, sizeof printed), 73);
  assert_non_null(strstr(printed, "serving there already"));
  close(agent_dial(&a)); /* still there */
  kill(a.pid, SIGKILL);
  agent_stop(&a);
  assert_int_equal(access(a.socket, F_OK), 0);
  agent_start(&a, NULL);
  close(agent_dial(&a));
  agent_cleanup(&a);
}

static void a_bad_configuration_is_exit_78_and_a_bad_command_64(void **state) {
  (void)state;
  char printed[4096];
  struct agent_process a;
  agent_prepare(&a, "trust_domain: example.org\nentires: []\n");
  const char *bad[] = {"--socket", a.socket, "--config", a.config, NULL};
  assert_int_equal(agent_run(bad, printed, sizeof printed), 78);
  assert_non_null(strstr(printed, "dev-agent.yaml:2:1: unknown key \"entires\""));
  const char *none[] = {"--config", a.config, NULL};
  assert_int_equal(agent_run(none, printed, sizeof printed), 64);
  const char *no_out[] = {"--socket", a.socket, "--mint", "spiffe://example.org/x", NULL};
  assert_int_equal(agent_run(no_out, printed, sizeof printed), 64);
  const char *help[] = {"--help", NULL};
  assert_int_equal(agent_run(help, printed, sizeof printed), 0);
  assert_non_null(strstr(printed, "usage: svidwrap dev-agent"));
  agent_cleanup(&a);
}

static void a_thousand_connections_leave_nothing_behind(void **state) {
  (void)state;
  struct agent_process a;
  agent_prepare(&a, NULL);
  agent_start(&a, NULL);
  close(agent_dial(&a));
  assert_int_equal(agent_call(agent_dial(&a), "/x/y", true), 12);
  size_t before = agent_fds(&a), after = 0;
  for (int i = 0; i < 1000; i++) {
    int fd = agent_dial(&a);
    if (i % 20 == 0)
      assert_int_equal(agent_call(fd, "/x/y", true), 12);
    else
      close(fd);
  }
  for (int i = 0; i < WAIT_S * 100 && (after = agent_fds(&a)) > before; i++)
    usleep(10000);
  assert_true(after <= before);
  struct inbox *in = inbox_new();
  struct workload_client *c = workload_open_fd(agent_dial(&a), inbox_put, in);
  inbox_expect(in, WORKLOAD_UPDATE, "");
  workload_close(c);
  inbox_free(in);
  agent_cleanup(&a);
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

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(without_a_config_the_caller_is_dev),
      cmocka_unit_test(svids_are_what_the_standard_asks_for),
      cmocka_unit_test(every_matching_entry_gives_an_svid_in_the_order_of_the_file),
      cmocka_unit_test(a_life_of_two_seconds_is_renewed_in_time),
      cmocka_unit_test(an_entry_removed_is_denied_at_once_and_comes_back_on_the_same_connection),
      cmocka_unit_test(a_reload_pushes_what_changed_and_nothing_else),
      cmocka_unit_test(usr1_issues_new_svids),
      cmocka_unit_test(rotation_keeps_the_old_root_until_its_svids_are_gone),
      cmocka_unit_test(federated_bundles_come_along),
      cmocka_unit_test(an_address_client_outlives_its_agent),
      cmocka_unit_test(a_socket_in_use_is_left_alone_and_a_stale_one_taken),
      cmocka_unit_test(a_bad_configuration_is_exit_78_and_a_bad_command_64),
      cmocka_unit_test(a_thousand_connections_leave_nothing_behind),
  };
  int rc;
  if (support_devagent_child(argc, argv, &rc))
    return rc;
  return cmocka_run_group_tests(tests, start, stop);
}
